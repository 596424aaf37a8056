"""The workflow that follows edges, run through the engine with tiny random networks: batches, ranges, wrong choices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from stand_ins import SMALL, STAND_INS, session_with

import nodegraph
from nodegraph.api.paths import shipped

FILE = shipped("workflows") / "controlnet.json"
CONTROLNET = "control_v11p_sd15_canny_fp16.safetensors"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodegraph.Session]:
    with session_with(STAND_INS["controlnet"], tmp_path_factory.mktemp("control")) as opened:
        yield opened


def run(session: nodegraph.Session, wanted: str = "decode.image", **inputs: Any) -> Any:
    return nodegraph.load(FILE, session).run(wanted=[wanted], **{"steps": 3, **SMALL, **inputs})[wanted]


def failed(session: nodegraph.Session, **inputs: Any) -> Any:
    with pytest.raises(nodegraph.RunFailed) as caught:
        run(session, **inputs)
    (problem,) = caught.value.result.run.problems
    return problem


def test_runs_with_controls_of_all_kinds_and_without_share_batches_and_stay_as_they_are_alone(
    session: nodegraph.Session,
) -> None:
    workflow = nodegraph.load(FILE, session)
    settings = [{"strength": 1.0}, {"strength": 0.0}, {"strength": 0.5, "end": 0.4}, {"strength": 1.5, "start": 0.5}]
    inputs = [{"steps": 3, **SMALL, **each, "seed": seed} for seed, each in enumerate(settings)]
    alone = [workflow.run(wanted=["decode.image"], **each)["decode.image"].numpy() for each in inputs]

    async def together() -> list[Any]:
        runs = (workflow.run_async(wanted=["decode.image"], exact=False, **each) for each in inputs)
        return list(await asyncio.gather(*runs))

    results = asyncio.run(together())
    assert any("at once" in row["reason"] for result in results for row in result.nodes.values())
    for mine, result in zip(alone, results, strict=True):
        assert np.abs(mine - result["decode.image"].numpy()).max() < 2e-3


def test_the_edges_change_the_picture(session: nodegraph.Session) -> None:
    free = run(session, strength=0.0)
    assert (run(session) - free).abs().max() > 0.1


def test_a_control_that_ends_before_it_starts_is_told_before_anything_runs(session: nodegraph.Session) -> None:
    with pytest.raises(nodegraph.InvalidWorkflow) as caught:
        run(session, start=0.8, end=0.2)
    (problem,) = caught.value.problems
    assert (problem.node, problem.socket, problem.expected, problem.got) == ("control", "end", "at least 0.8", "0.2")


def test_a_control_network_for_another_kind_of_model_is_told_where_it_is_applied(session: nodegraph.Session) -> None:
    problem = failed(session, model="starter")
    assert (problem.node, problem.socket, problem.expected, problem.got) == ("control", "controlnet", "starter", "sd1")


def test_a_whole_model_chosen_as_control_network_is_told_by_its_name(session: nodegraph.Session) -> None:
    problem = failed(session, controlnet="starter")
    assert (problem.node, problem.socket) == ("controlnet", "model")
    assert "'starter'" in problem.message


def test_loading_one_reads_no_weights(session: nodegraph.Session) -> None:
    recipe = run(session, "controlnet.controlnet")
    assert (recipe.kind, recipe.family) == ("controlnet", "sd1")
    assert recipe.path.endswith(CONTROLNET)
