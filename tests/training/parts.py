"""What several processes hold of a network, and where what they make of it may differ."""

from collections.abc import Mapping

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from nodegraph import Context
from nodegraph_nodes.training.loop import Share
from nodegraph_nodes.training.tasks.denoiser_networks import Told, UNetShape, new_unet
from nodegraph_nodes.types import TrainingPlan


def held_parts(context: Context, share: Share, plan: TrainingPlan) -> dict[str, torch.Tensor]:
    """How many numbers a U-Net has, and how many of them each process holds."""
    network: nn.Module = new_unet(UNetShape((16, 32), 1, (1,), 2), Told(0, 0), 4, 8)
    count = sum(parameter.numel() for parameter in network.parameters())
    share.placed([network], torch.device(context.device))
    held = torch.zeros(share.count)
    for parameter in network.parameters():
        held[share.rank] += parameter.to_local().numel() if isinstance(parameter, DTensor) else parameter.numel()
    return {"count": torch.tensor(float(count)), "held": share.sum(held)}


def differing(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> list[str]:
    """The weights that are not the same. Where a gradient is rounding alone, Adam follows that: single numbers may differ.

    A bias that a norm takes away again has no other gradient, and is passed over.
    """
    assert ours.keys() == theirs.keys()
    names = [name for name in ours if not (".resnets." in name and ".conv" in name and name.endswith(".bias"))]
    return [name for name in names if (ours[name] - theirs[name]).abs().mean() > 1e-5]
