"""How far our noise levels are from ComfyUI's: the table of docs/comfyui.md, from definitions written down here."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.diffusion.schedules.beta import beta_quantile
from nodegraph_nodes.types import NoiseProcess

Levels = NDArray[np.float64]
PROCESS = make_process(
    NoiseProcess(
        kind="variance_preserving", train_steps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
)
SIGMAS: Levels = PROCESS.sigma_hats  # type: ignore[union-attr]
STEPS = (4, 10, 20, 25, 30, 50)


def theirs(name: str, steps: int) -> Levels:
    """Noise levels as ComfyUI spreads them over the 1000 of Stable Diffusion 1."""
    if name == "normal":
        times = np.linspace(999, 0, steps)
        return np.append(np.exp(np.interp(times, np.arange(1000), np.log(SIGMAS))), 0)
    if name == "simple":
        return np.array([*(SIGMAS[-(1 + int(i * 1000 / steps))] for i in range(steps)), 0.0])
    if name == "karras":
        ramp = np.linspace(SIGMAS[-1] ** (1 / 7), SIGMAS[0] ** (1 / 7), steps)
        return np.append(ramp**7, 0)
    if name == "exponential":
        return np.append(np.exp(np.linspace(np.log(SIGMAS[-1]), np.log(SIGMAS[0]), steps)), 0)
    if name == "sgm_uniform":
        times = np.linspace(999, 0, steps + 1)[:-1]
        return np.append(np.exp(np.interp(times, np.arange(1000), np.log(SIGMAS))), 0)
    if name == "kl_optimal":
        share = np.arange(steps) / (steps - 1)
        return np.append(np.tan(share * np.arctan(SIGMAS[0]) + (1 - share) * np.arctan(SIGMAS[-1])), 0)
    if name == "beta":
        times = np.rint(999 * beta_quantile(1 - np.linspace(0, 1, steps, endpoint=False), 0.6, 0.6))
        return np.append(SIGMAS[times.astype(int)], 0)
    return np.array([*SIGMAS[1 :: 1000 // steps][::-1], 0.0])


def ours(name: str, steps: int) -> Levels:
    schedule = make_schedule(name, PROCESS, steps, "sd1")
    return (schedule.sigma / schedule.alpha).numpy()


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("karras", 2e-15),
        ("exponential", 1e-13),
        ("kl_optimal", 1e-13),
        ("normal", 8e-5),
        ("sgm_uniform", 8e-5),
        ("simple", 2e-2),
        ("beta", 4e-2),
    ],
)
@pytest.mark.parametrize("steps", STEPS)
def test_noise_levels_are_theirs_within_what_the_documentation_says(name: str, most: float, steps: int) -> None:
    np.testing.assert_allclose(ours(name, steps), theirs(name, steps), rtol=most)


@pytest.mark.parametrize("steps", [steps for steps in STEPS if 1000 % steps == 0])
def test_simple_is_the_same_where_the_steps_divide_the_training(steps: int) -> None:
    np.testing.assert_allclose(ours("simple", steps), theirs("simple", steps), rtol=1e-15)


def test_ddim_uniform_differs_in_its_end_and_where_the_steps_do_not_divide_the_training() -> None:
    mine, other = ours("ddim_uniform", 20), theirs("ddim_uniform", 20)
    np.testing.assert_allclose(mine[:-1], other[:-1], rtol=1e-15)
    assert (round(float(mine[-1]), 3), float(other[-1])) == (0.029, 0)
    assert len(theirs("ddim_uniform", 30)) - 1 == 31
