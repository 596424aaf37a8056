"""Forking a run, as the editor does it in the document: the first steps stay, a second denoise goes on from their state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nodegraph
from nodegraph.api.paths import shipped

STEPS, FORK = 6, 2
STRAIGHT = json.loads((shipped("workflows") / "text_to_image.json").read_text("utf-8"))
WANTED = ["decode.image"]


def straight(sampler: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps({**STRAIGHT, "interface": {"inputs": {}, "outputs": {}}}))
    document["nodes"]["denoise"]["inputs"] = {"sampler": sampler, "steps": STEPS}
    document["nodes"]["schedule"]["inputs"]["steps"] = STEPS
    return document


def forked(sampler: str, scale: float) -> dict[str, Any]:
    """The same, stopped after FORK steps; what is left is taken with a guidance of its own."""
    document = straight(sampler)
    nodes = document["nodes"]
    nodes["denoise"]["inputs"]["steps"] = FORK
    nodes["guidance_2"] = {**nodes["guidance"], "inputs": {"scale": scale}}
    nodes["denoise_2"] = {
        "type": "diffusion/denoise",
        "version": 1,
        "inputs": {"sampler": sampler, "steps": STEPS - FORK},
        "links": {**nodes["denoise"]["links"], "state": "denoise.state", "guidance": "guidance_2.guidance"},
    }
    nodes["decode"]["links"]["latent"] = "denoise_2.latent"
    return document


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodegraph.Session]:
    with nodegraph.Session(tmp_path_factory.mktemp("forking")) as session:
        yield session


@pytest.fixture
def session(opened: nodegraph.Session) -> nodegraph.Session:
    opened.clear_cache()
    return opened


def run(document: Mapping[str, Any], session: nodegraph.Session) -> nodegraph.Result:
    file = session.data / "document.json"
    file.write_text(json.dumps(document), "utf-8")
    return nodegraph.load(file, session).run(wanted=WANTED)


def steps(result: nodegraph.Result) -> dict[str, str]:
    return {name: row["state"] for name, row in result.nodes.items() if "/step_" in name}


AFTER = {f"denoise_2/step_{i}": "computed" for i in range(1, STEPS - FORK + 1)}


def test_another_guidance_after_k_of_n_steps_computes_only_what_is_left(session: nodegraph.Session) -> None:
    run(straight("dpmpp_2m"), session)
    found = steps(run(forked("dpmpp_2m", 7.5), session))
    assert {name: state for name, state in found.items() if state == "computed"} == AFTER
    again = steps(run(forked("dpmpp_2m", 2.0), session))
    assert {name: state for name, state in again.items() if state == "computed"} == AFTER


@pytest.mark.slow
def test_the_steps_before_the_fork_are_found_after_a_restart(tmp_path: Path) -> None:
    with nodegraph.Session(tmp_path) as session:
        run(straight("euler"), session)
    with nodegraph.Session(tmp_path) as session:
        found = steps(run(forked("euler", 7.5), session))
    assert {name: state for name, state in found.items() if state == "computed"} == AFTER


def test_a_fork_that_changes_nothing_computes_nothing(session: nodegraph.Session) -> None:
    first = run(straight("euler"), session)
    second = run(forked("euler", 4.0), session)
    assert "computed" not in steps(second).values()
    assert np.array_equal(first[WANTED[0]].numpy(), second[WANTED[0]].numpy())


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "euler_ancestral", "heun", "ddim"])
def test_a_fork_with_the_same_guidance_gives_the_same_picture_to_the_bit_when_it_is_computed(
    session: nodegraph.Session, sampler: str
) -> None:
    first = run(straight(sampler), session)[WANTED[0]].numpy()
    session.clear_cache()
    second = run(forked(sampler, 4.0), session)
    assert set(steps(second).values()) == {"computed"}
    assert np.array_equal(first, second[WANTED[0]].numpy())
