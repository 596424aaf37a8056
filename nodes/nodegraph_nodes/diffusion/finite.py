"""A run that became NaN or infinite says so, instead of ending as a black picture.

Looking at every value makes the program wait for the device. On the CPU that costs nothing, so each step is looked at; on
others only what leaves the run: the finished latent and the decoded picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nodegraph import NodeError


def is_finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())


def step_problem(x: Tensor, sampler: str, step: int, steps: int) -> NodeError | None:
    """What to say of a step's result [C, h, w] on the CPU that is not finite. step: counts from 1."""
    if x.device.type != "cpu" or is_finite(x):
        return None
    return NodeError(
        f"Step {step} of {steps} with {sampler} gave numbers that are not finite (NaN or infinity).",
        hint="Load the model with precision float32; if it is that already, use a lower guidance scale or another sampler, "
        "and leave out LoRAs and the like: one of the files may be damaged.",
    )


def latent_problem(samples: Tensor) -> NodeError | None:
    """What to say of a run's result that is not finite."""
    if is_finite(samples):
        return None
    return NodeError(
        "The run's result has numbers that are not finite (NaN or infinity).",
        socket="state",
        hint="Load the model with precision float32; if it is that already, use a lower guidance scale or another sampler, "
        "and leave out LoRAs and the like: one of the files may be damaged.",
    )


def picture_problem(image: Tensor, samples: Tensor) -> NodeError | None:
    """What to say of a decoded picture that is not finite; samples: the latent that it was decoded from."""
    if is_finite(image):
        return None
    if not is_finite(samples):
        return NodeError(
            "The latent has numbers that are not finite (NaN or infinity).",
            socket="latent",
            hint="Load the model with precision float32.",
        )
    return NodeError(
        "The autoencoder gave numbers that are not finite (NaN or infinity).",
        socket="autoencoder",
        hint="Load it with precision float32, or use another autoencoder of this kind of model.",
    )
