"""KSamplerAdvanced: a stretch of a schedule, from noise or a picture, or on from where another such node left off.

With leftover noise off, ComfyUI sets the last noise level of the stretch to 0: what its samplers then give is their estimate
of the clean picture there, which is our `latent`. With it on, the noisy latent is our `state`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodegraph.importing.comfyui.draft import Draft, Unmappable, whole
from nodegraph.importing.comfyui.sampling import REMEMBERING, Sampling, add_denoise, add_guidance, run
from nodegraph.importing.comfyui.spacing import add_schedule


@dataclass(frozen=True, slots=True)
class Leftover:
    """A run that stopped before its end: the next sampler goes on from its state."""

    state: str
    step: int
    steps: int
    schedule: object


def ksampler_advanced(draft: Draft) -> None:
    node, scope = draft.node, draft.scope
    steps, start = _known(draft, "steps", 20), _known(draft, "start_at_step", 0)
    end = min(_known(draft, "end_at_step", 10000), steps)
    if not 0 <= start < end:
        raise Unmappable(f"from step {start} to step {end} of {steps} there is nothing to do")
    keeps_noise = draft.value("return_with_leftover_noise", "disable") == "enable" and end < steps
    readers = {scope.graph.nodes[reader.node].type for reader in scope.wiring.readers.get(node.id, ())}
    if keeps_noise and (node.id in scope.wiring.leaves or readers - {"KSamplerAdvanced"}):
        raise Unmappable("it gives a latent with noise left in it to something that is no KSamplerAdvanced")
    sampling = Sampling(node, node, node, node, "noise_seed", stretch=(start, end))
    if draft.value("add_noise", "enable") == "enable":
        denoise = run(draft, sampling)
    else:
        denoise = _go_on(draft, sampling, steps)
    draft.output(0, f"{denoise}.state" if keeps_noise else f"{denoise}.latent")
    if keeps_noise:
        scope.leftovers[node.id] = Leftover(f"{denoise}.state", end, steps, draft.value("scheduler"))
    elif end < steps:
        draft.note(f"it stops at step {end} of {steps}, at the estimate of the clean picture there, as in ComfyUI")


def _go_on(draft: Draft, sampling: Sampling, steps: int) -> str:
    assert sampling.stretch is not None
    start, end = sampling.stretch
    before = draft.scope.wiring.origin(draft.node, "latent_image")
    left = draft.scope.leftovers.get(before.id) if before is not None else None
    if left is None:
        raise Unmappable("it adds no noise, and the sampler before it leaves none that it could go on from")
    if (left.step, left.steps, left.schedule) != (start, steps, draft.value("scheduler")):
        raise Unmappable("it goes on with another schedule, or at another step, than the sampler before it left off")
    guidance, schedule = add_guidance(draft, sampling), add_schedule(draft, draft.node, draft.node)
    denoise = add_denoise(draft, sampling, guidance, schedule)
    draft.link(f"{denoise}.state", left.state)
    draft.set(f"{denoise}.steps", end - start)
    draft.note(f"its noise_seed {draft.value('noise_seed', 0)} has no use: it adds no noise of its own")
    if (sampler := draft.value("sampler_name")) in REMEMBERING:
        draft.note(f"{sampler} goes on with what it remembers; ComfyUI starts it anew here")
    return denoise


def _known(draft: Draft, name: str, otherwise: int) -> int:
    found = whole(draft.value(name, otherwise))
    if found is None:
        raise Unmappable(f"its {name} is no whole number")
    return found
