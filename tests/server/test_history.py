"""The history of runs: found by what was typed, drawn and loaded, wherever in the workflow it stands; never by a secret."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.api.session import Session
from nodegraph.graph import parse_document
from nodegraph.graph.canonical import pretty
from nodegraph.server.searching import FoundBy, found_by, without_secrets
from server.harness import ServerProcess

SHIPPED = Path(__file__).parents[2] / "workflows"


@pytest.fixture(scope="module")
def session(data_folder: Path) -> Session:
    return Session(data_folder)


def of(session: Session, nodes: dict[str, Any], **more: Any) -> FoundBy:
    """What a workflow with these nodes is found by."""
    text = pretty({"nodegraph": 1, "nodes": nodes, **more})
    return found_by(session.compile(parse_document(text), list(nodes)))


def node(type_: str, links: dict[str, str] | None = None, **inputs: Any) -> dict[str, Any]:
    return {"type": type_, "version": 1, "inputs": inputs, "links": links or {}}


def test_a_shipped_workflow_is_found_by_its_prompt_model_seed_nodes_and_title(session: Session) -> None:
    document = parse_document((SHIPPED / "text_to_image.json").read_text())
    found = found_by(session.compile(document))
    prompt = document.nodes["prompt"].inputs["text"]
    assert prompt in found.text
    assert "Text to image" in found.text
    assert {("model", "starter"), ("seed", "7"), ("node", "diffusion/denoise")} <= set(found.marks)


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.json")), ids=lambda file: file.stem)
def test_every_shipped_workflow_can_be_found(session: Session, file: Path) -> None:
    found = found_by(session.compile(parse_document(file.read_text())))
    nodes = {value for kind, value in found.marks if kind == "node"}
    assert nodes & {"image/save_image", "image/show_image", "image/compare_images"}
    assert found.text


def test_a_seed_that_is_linked_counts_and_the_default_it_replaces_does_not(session: Session) -> None:
    nodes = {"number": node("core/integer", value=4242), "seeds": node("core/seed_list", {"seed": "number.value"}, count=2)}
    found = of(session, nodes)
    assert [value for kind, value in found.marks if kind == "seed"] == ["4242"]


def test_a_text_that_is_linked_is_found(session: Session) -> None:
    nodes = {"text": node("core/text", value="a heron"), "lines": node("core/split_lines", {"value": "text.text"})}
    assert "a heron" in of(session, nodes).text


def test_in_a_subgraph_the_value_that_is_used_is_found_and_the_one_that_lies_there_is_not(session: Session) -> None:
    inner = {
        "nodes": {"text": node("core/text", value="a default")},
        "interface": {"inputs": {"words": {"to": ["text.value"]}}, "outputs": {"text": "text.text"}},
    }
    found = of(session, {"part": node("subgraph/part", words="a kingfisher")}, subgraphs={"part": inner})
    assert "a kingfisher" in found.text
    assert "a default" not in found.text
    assert ("node", "core/text") in found.marks


@pytest.mark.parametrize(
    "secret",
    [
        "hf_abcdefghijKLMNOPqrstuvwx12345",
        "sk-proj-0123456789abcdef",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dGVzdA",
        "AKIAIOSFODNN7EXAMPLE",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "password: hunter2",
        "a secret: rosebud",
        "Authorization: Bearer abc",
        "api_key=swordfish",
    ],
)
def test_what_looks_like_a_secret_is_not_indexed_and_the_words_around_it_are(session: Session, secret: str) -> None:
    found = of(session, {"text": node("core/text", value=f"a red owl {secret} in the snow")})
    assert "a red owl" in found.text
    for word in secret.split():
        if word not in ("a", "password:", "secret:", "Authorization:", "Bearer"):
            assert word not in found.text


@pytest.mark.parametrize(
    "prompt",
    [
        "(masterpiece:1.2), best quality, 1girl, 4k, f/1.8, 35mm, ISO100, <lora:add_detail:0.8>",
        "a secret garden, the bearer of a token of love, password",
        "antidisestablishmentarianism, photorealistic, 1920x1080, RTX4090, v1-5-pruned",
    ],
)
def test_prompts_are_no_secrets(prompt: str) -> None:
    assert without_secrets(prompt) == prompt


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_taking_secrets_out_of_any_text_ends_and_twice_is_as_once(text: str) -> None:
    once = without_secrets(text)
    assert without_secrets(once) == once


def test_a_text_made_of_secrets_layer_by_layer_holds_nobody_up() -> None:
    layers = 7000
    text = "token " * layers + "token=x" + " =y" * layers
    began = time.perf_counter()
    assert without_secrets(text) == ""
    assert time.perf_counter() - began < 5.0, "each round takes one layer off: it took minutes"


@pytest.mark.slow
def test_runs_are_found_over_http_as_long_as_they_are_kept(server: ServerProcess) -> None:
    workflow = {
        "nodegraph": 1,
        "nodes": {"text": node("core/text", value="x"), "seeds": node("core/seed_list", seed=1, count=1)},
        "interface": {
            "inputs": {"prompt": {"to": ["text.value"]}, "seed": {"to": ["seeds.seed"]}},
            "outputs": {"text": "text.text", "seeds": "seeds.seeds"},
        },
    }
    ids = []
    for prompt, seed in (("a grey heron", 5), ("a grey owl", 6), ("a blue owl", 5)):
        id_ = server.submit(workflow, inputs={"prompt": prompt, "seed": seed})
        assert server.wait(id_)["state"] == "succeeded"
        ids.append(id_)

    def find(query: str) -> set[int]:
        return {ids.index(job["id"]) for job in server.get(f"/api/jobs?{query}")["jobs"]}

    assert find("text=grey") == {0, 1}
    assert find("text=owl%20blue") == {2}
    assert find("seed=5") == {0, 2}
    assert find("seed=5&text=owl") == {2}
    assert find("node=core/seed_list") == {0, 1, 2}
    assert find("node=core/seed_list&limit=2") == {1, 2}
    assert find("model=starter") == set()
    server.ask("DELETE", f"/api/jobs/{ids[0]}")
    assert find("text=grey") == {1}


@pytest.mark.slow
def test_a_seed_that_was_drawn_is_shown_and_found(server: ServerProcess) -> None:
    workflow = {
        "nodegraph": 1,
        "nodes": {"seeds": node("core/seed_list", seed=1, count=1)},
        "interface": {"inputs": {"seed": {"to": ["seeds.seed"]}}, "outputs": {"seeds": "seeds.seeds"}},
    }
    id_ = server.submit(workflow, inputs={"seed": "random"})
    seed = server.get(f"/api/jobs/{id_}")["inputs"]["seed"]
    assert isinstance(seed, int)
    assert [job["id"] for job in server.get(f"/api/jobs?seed={seed}")["jobs"]] == [id_]
