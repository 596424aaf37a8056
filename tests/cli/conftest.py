"""Running the command line inside the test's own process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nodegraph.cli.app import app


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str
    error: BaseException | None

    @property
    def json(self) -> Any:
        """The one JSON object on stdout; anything more is an error."""
        return json.loads(self.stdout)


Nodegraph = Callable[..., Done]


@pytest.fixture
def nodegraph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nodegraph:
    """`nodegraph("run", path, "--json")`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str | Path) -> Done:
        words = [str(argument) for argument in arguments]
        if words[0] == "run" and len(words) > 1:  # what a document may read without consent is not what these tests are about
            words.append("--trust")
        result = CliRunner().invoke(app, words)
        error = None if isinstance(result.exception, SystemExit) else result.exception
        return Done(result.exit_code, result.stdout, result.stderr, error)

    return call


SUM: dict[str, Any] = {
    "nodegraph": 1,
    "title": "Sum",
    "nodes": {
        "a": {"type": "core/integer", "inputs": {"value": 3}},
        "sum": {"type": "core/calculate_whole", "inputs": {"b": 4}, "links": {"a": "a.value"}},
        "flag": {"type": "core/boolean", "inputs": {"value": True}},
        "seeds": {"type": "core/seed_list", "inputs": {"seed": 1, "count": 2}},
        "real": {"type": "core/number", "inputs": {"value": 0.5}},
        "how": {"type": "core/calculate_whole", "inputs": {"a": 6, "b": 2}},
        "words": {"type": "core/text", "inputs": {"value": "x"}},
        "texts": {"type": "core/join_text", "inputs": {"texts": ["a", "b"]}},
    },
    "interface": {
        "inputs": {
            "a": {"to": ["a.value"], "description": "The first number."},
            "flag": {"to": ["flag.value"]},
            "seed": {"to": ["seeds.seed"]},
            "guidance_scale": {"to": ["real.value"]},
            "how": {"to": ["how.operation"]},
            "words": {"to": ["words.value"]},
            "texts": {"to": ["texts.texts"]},
        },
        "outputs": {
            "sum": "sum.value",
            "flag": "flag.value",
            "seeds": "seeds.seeds",
            "real": "real.value",
            "how": "how.value",
            "words": "words.text",
            "texts": "texts.text",
        },
    },
}


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    """A workflow of core nodes, with an input of every plain kind."""
    path = tmp_path / "sum.json"
    path.write_text(json.dumps(SUM))
    return path


@pytest.fixture
def data(tmp_path: Path, data_folder: Path) -> Path:
    """A data folder of the test's own: no results yet, the catalog known."""
    folder = tmp_path / "data"
    folder.mkdir()
    if (data_folder / "catalog").is_dir():
        shutil.copytree(data_folder / "catalog", folder / "catalog")
    return folder
