# `make demo` and `make test` set everything up in .venv and do nothing twice.
PYTHON ?= python3
PROMPT ?= a red apple
SEED ?= 7
SAMPLE ?= 1
SAMPLE_SEED ?= 0
VENV := .venv
BIN := $(VENV)/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check format soak bench clean help

help:  ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "nodegraph needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@echo "Setting up $(VENV); the first time takes a minute or two."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --editable .
	@$(BIN)/pip install --quiet --no-deps spandrel==0.4.2  # it asks for torchvision and works without
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(BIN)/pip install --quiet --no-warn-conflicts --editable '.[dev]'
	@touch $@

demo: $(VENV)/.run  ## Turn a prompt into a picture: make demo PROMPT="a panda"
	@$(BIN)/nodegraph run workflows/text_to_image.json --prompt "$(PROMPT)" --seed $(SEED)

test: $(VENV)/.dev  ## Run the tests; with SAMPLE=0.4 only that share of the slow ones
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --sample $(SAMPLE) --sample-seed $(SAMPLE_SEED)

check: $(VENV)/.dev  ## Format, lint, types, import rules, tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

soak: $(VENV)/.dev  ## The property and crash tests with many more examples
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -m "not slow or slow" -q

bench: $(VENV)/.dev  ## The benchmarks behind benchmarks/RESULTS.md
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/text_to_image.py
	$(BIN)/python benchmarks/batching.py --svg docs/pictures/batches.svg
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/latent_pixel.py
	$(BIN)/python benchmarks/server.py
	$(BIN)/python benchmarks/editor.py

clean:  ## Remove what the targets above made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
