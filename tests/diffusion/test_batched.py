"""Runs that share batches give the pictures that they give alone, whatever they differ in.

Pictures are compared with numpy: torch on this thread would make a second OpenMP team, and every step slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nodegraph
from nodegraph.api.paths import shipped

RUNS: list[dict[str, Any]] = [
    {"prompt": "a red apple", "seed": 1, "steps": 6},
    {"prompt": "a blue cat", "seed": 2, "steps": 6, "sampler": "heun"},
    {"prompt": "", "seed": 3, "steps": 5, "sampler": "dpmpp_2m", "schedule": "karras"},
    {"prompt": "a panda", "seed": 4, "steps": 8, "guidance_scale": 1.0},
    {"prompt": "a green car on a white background", "seed": 4294967295, "steps": 7, "sampler": "euler_ancestral"},
    {"prompt": "a red apple", "seed": 1, "steps": 6, "guidance_scale": 9.0, "sampler": "ddim"},
    {"prompt": "a dog", "seed": 5, "steps": 5, "sampler": "dpmpp_sde", "schedule": "beta"},
    {"prompt": "a yellow bird", "seed": 6, "steps": 6, "sampler": "uni_pc", "schedule": "kl_optimal"},
]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[nodegraph.Session]:
    with nodegraph.Session(tmp_path, disk_bytes=0) as session:
        yield session


@pytest.mark.slow
def test_different_prompts_seeds_samplers_schedules_and_guidance_share_passes_and_stay_within_a_thousandth(
    session: nodegraph.Session,
) -> None:
    workflow = nodegraph.load(shipped("workflows") / "text_to_image.json", session)
    known = set(workflow.inputs)
    runs = [{name: value for name, value in run.items() if name in known} for run in RUNS]
    assert all({"prompt", "seed", "steps", "guidance_scale", "sampler"} <= known for _ in runs)
    wanted = ["decode.image"]
    alone = [workflow.run(wanted=wanted, **run)["decode.image"] for run in runs]

    async def together() -> list[Any]:
        return list(await asyncio.gather(*(workflow.run_async(wanted=wanted, exact=False, **run) for run in runs)))

    results = asyncio.run(together())
    reasons = [row["reason"] for result in results for row in result.nodes.values()]
    assert sum("at once" in reason for reason in reasons) >= 10, "they did share batches"
    assert any(
        row["type"] == "diffusion/encode_prompt" and "at once" in row["reason"] for r in results for row in r.nodes.values()
    )
    for picture, result in zip(alone, results, strict=True):
        assert np.abs(picture.numpy() - result["decode.image"].numpy()).max() < 1e-3


@pytest.mark.slow
def test_exact_pictures_are_the_same_bytes_whatever_else_runs(session: nodegraph.Session) -> None:
    workflow = nodegraph.load(shipped("workflows") / "text_to_image.json", session)
    wanted = ["decode.image"]
    alone = workflow.run(wanted=wanted, prompt="a panda", seed=5, steps=3)["decode.image"]
    session.clear_cache()

    async def among_others() -> Any:
        others = [workflow.run_async(wanted=wanted, exact=False, prompt="a fish", seed=i, steps=3) for i in range(3)]
        mine = workflow.run_async(wanted=wanted, prompt="a panda", seed=5, steps=3)
        return (await asyncio.gather(mine, *others))[0]

    assert np.array_equal(asyncio.run(among_others())["decode.image"].numpy(), alone.numpy())


@pytest.mark.slow
def test_runs_with_masks_and_without_share_passes_and_stay_within_a_thousandth(session: nodegraph.Session) -> None:
    inpaint = nodegraph.load(shipped("workflows") / "inpaint.json", session)
    free = nodegraph.load(shipped("workflows") / "text_to_image.json", session)
    wanted = ["decode.image"]
    runs = [
        (inpaint, {"prompt": "a green apple", "seed": 1, "steps": 6}),
        (inpaint, {"prompt": "a lemon", "seed": 2, "steps": 8, "sampler": "dpmpp_2m", "feather": 0.0, "strength": 0.75}),
        (inpaint, {"prompt": "a panda", "seed": 3, "steps": 6, "sampler": "euler_ancestral", "feather": 20.0}),
        (free, {"prompt": "a blue cat", "seed": 4, "steps": 6, "sampler": "heun"}),
    ]
    alone = [workflow.run(wanted=wanted, **run)["decode.image"] for workflow, run in runs]

    async def together() -> list[Any]:
        return list(await asyncio.gather(*(w.run_async(wanted=wanted, exact=False, **run) for w, run in runs)))

    results = asyncio.run(together())
    shared = [row for result in results for row in result.nodes.values() if "at once" in row["reason"]]
    assert sum(row["type"] == "diffusion/denoise_step" for row in shared) >= 8
    for picture, result in zip(alone, results, strict=True):
        assert np.abs(picture.numpy() - result["decode.image"].numpy()).max() < 1e-3
