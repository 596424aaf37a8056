"""What the solvers' steps are made of: where a step starts and ends, exact moves for a constant estimate, fresh noise.

A step is a generator: it yields (x, point) when it wants the network's x0 estimate there, receives it, and returns the next
state. The caller decides how estimates are computed and batched. Everywhere D is the estimate, e = (x - alpha D) / sigma the
noise that it implies, sigma_hat = sigma / alpha, and a prime marks where the step ends. Tensors keep x's dtype, scalars are
Python floats.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import replace

from torch import Tensor

from nodegraph_nodes.diffusion.schedules import make_process
from nodegraph_nodes.types import DenoiseState, Point, Schedule

from .noise import NoiseSource

Step = Generator[tuple[Tensor, Point], Tensor, DenoiseState]
Sampler = Callable[[DenoiseState, Schedule, NoiseSource], Step]


def ends(state: DenoiseState, schedule: Schedule) -> tuple[Point, Point]:
    """The points where this state's next step starts and ends."""
    if not 0 <= state.index < schedule.steps:
        raise ValueError(
            f"There is no step {state.index + 1} in a schedule of {schedule.steps} steps: this run is already "
            "finished, or it was made with another schedule."
        )
    return schedule.point(state.index), schedule.point(state.index + 1)


def middle(schedule: Schedule, p: Point, q: Point, kept: float = 1.0) -> Point:
    """The point half-way in log sigma_hat from p to `kept` times the noise of q. Both need alpha > 0 and sigma > 0."""
    if schedule.process is None:
        raise ValueError("This schedule does not say whose noise levels it visits: make it with noise_schedule.")
    sigma_hat = math.sqrt(p.sigma / p.alpha * kept * q.sigma / q.alpha)
    return make_process(schedule.process).point_at(sigma_hat)


def toward(x: Tensor, denoised: Tensor, p: Point, q: Point) -> Tensor:
    """The probability-flow ODE's exact solution from p to q for a constant estimate. Defined for alpha = 0 and sigma' = 0."""
    ratio = q.sigma / p.sigma
    return ratio * x + (q.alpha - p.alpha * ratio) * denoised


def renewed(x: Tensor, denoised: Tensor, p: Point, q: Point, kept: float, noise: Tensor | None) -> Tensor:
    """From p to q for a constant estimate, with `kept` = k of the noise and the rest fresh.

    x' = alpha' D + sigma' (k e + sqrt(1 - k^2) z).
    noise: z, or None where there is nothing to add. Defined for alpha = 0 and sigma' = 0.
    """
    ratio = kept * q.sigma / p.sigma
    x = ratio * x + (q.alpha - ratio * p.alpha) * denoised
    added = fresh(q, kept)
    return x if noise is None or added == 0 else x + added * noise.to(x)


def fresh(q: Point, kept: float) -> float:
    """The standard deviation of the noise that makes up for what was not kept."""
    return q.sigma * math.sqrt(max(0.0, 1 - kept**2))


def ratio_of(p: Point, q: Point) -> float:
    """sigma_hat' / sigma_hat, which is 0 from pure noise (alpha = 0) and to a clean picture."""
    return (q.sigma * p.alpha) / (q.alpha * p.sigma)


def log_snr(point: Point) -> float:
    """lambda = log(alpha / sigma), with its limits."""
    if point.alpha == 0:
        return -math.inf
    return math.inf if point.sigma == 0 else math.log(point.alpha / point.sigma)


def advance(state: DenoiseState, x: Tensor, denoised: Tensor, **history: Tensor) -> DenoiseState:
    """The state after a step, with this solver's history in place of any other's."""
    return replace(state, x=x, index=state.index + 1, denoised=denoised, history=history)


def remembered(state: DenoiseState, schedule: Schedule, name: str, most: int) -> list[Tensor]:
    """What a multistep solver remembers of the steps before, the latest first: at most `most` tensors `name_1`, `name_2` ...

    Ends where there is none, and at a point of pure noise (alpha = 0), where sigma_hat and lambda are infinite.
    """
    found: list[Tensor] = []
    for back in range(1, min(most, state.index) + 1):
        tensor = state.history.get(f"{name}_{back}")
        if tensor is None or schedule.point(state.index - back).alpha == 0:
            break
        found.append(tensor)
    return found


def remember(name: str, tensors: list[Tensor]) -> dict[str, Tensor]:
    """The history that `remembered` reads at the next step, the latest first."""
    return {f"{name}_{back}": tensor for back, tensor in enumerate(tensors, 1)}
