"""New denoisers: diffusers' conditional U-Net, by a few words of what it is to be."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import nn

from nodegraph import NodeError


class Told(NamedTuple):
    """What a new U-Net is told. states: the width of what its cross-attention reads, 0: nothing; pooled: that of the prompt
    as a whole, 0: nothing; classes: how many, the one that means none included; concat: input channels beside the latent's.
    """

    states: int = 0
    pooled: int = 0
    classes: int = 0
    concat: int = 0


class UNetShape(NamedTuple):
    """What a new U-Net is to be. channels: of each level, fine to coarse; layers: residual blocks of each on the way down.

    attends: which levels attend, 0 the finest. heads: of each attention. transformers: blocks in each attention.
    """

    channels: tuple[int, ...]
    layers: int
    attends: tuple[int, ...]
    heads: int
    transformers: int = 1
    dropout: float = 0.0


def new_unet(shape: UNetShape, told: Told, latent_channels: int, sample_size: int) -> Any:
    """A UNet2DConditionModel with random weights. sample_size: latent positions along a side. Raises NodeError.

    One that reads nothing attends to itself alone, and is called with None in place of states.
    """
    from diffusers import UNet2DConditionModel

    _check(shape)
    levels, kind = len(shape.channels), "CrossAttn" if told.states else "Attn"
    down = tuple(f"{kind}DownBlock2D" if level in shape.attends else "DownBlock2D" for level in range(levels))
    up = tuple(f"{kind}UpBlock2D" if level in shape.attends else "UpBlock2D" for level in reversed(range(levels)))
    class_config: dict[str, Any] = {}
    if told.pooled:
        class_config = {"class_embed_type": "simple_projection", "projection_class_embeddings_input_dim": told.pooled}
    elif told.classes:
        class_config = {"num_class_embeds": told.classes}
    # diffusers calls the number of heads attention_head_dim in blocks that read; in the others it is what it says
    heads: Any = shape.heads if told.states else tuple(channels // shape.heads for channels in shape.channels)
    return UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=latent_channels + told.concat,
        out_channels=latent_channels,
        down_block_types=down,
        mid_block_type="UNetMidBlock2DCrossAttn" if told.states else "UNetMidBlock2D",
        up_block_types=up,
        block_out_channels=shape.channels,
        layers_per_block=shape.layers,
        transformer_layers_per_block=shape.transformers,
        cross_attention_dim=told.states or 1280,
        attention_head_dim=heads,
        norm_num_groups=groups_of(shape.channels),
        resnet_time_scale_shift="scale_shift",
        dropout=shape.dropout,
        **class_config,
    )


def groups_of(channels: tuple[int, ...]) -> int:
    """Groups of the normalisations: 32, or as many as divide the channels of every level."""
    return math.gcd(32, *channels)


def _check(shape: UNetShape) -> None:
    if not shape.channels:
        raise NodeError("A U-Net has at least one level.", socket="channels", expected="channels for each", got="none")
    if groups_of(shape.channels) < 4:
        raise NodeError(
            "The channels cannot be normalised in groups.",
            socket="channels",
            expected="multiples of 8, or better of 32",
            got=", ".join(map(str, shape.channels)),
        )
    for level in shape.attends:
        if level >= len(shape.channels) or level < 0:
            raise NodeError(
                "There is no such level to attend.",
                socket="attention_levels",
                expected=f"0 (finest) to {len(shape.channels) - 1}",
                got=str(level),
            )
    for channels in {shape.channels[level] for level in shape.attends} | {shape.channels[-1]}:
        if channels % shape.heads:
            raise NodeError(
                "The channels cannot be shared among the heads of an attention.",
                socket="heads",
                expected=f"a number that divides {channels}",
                got=str(shape.heads),
            )


def prepare(unet: nn.Module, on_cpu: bool) -> None:
    """Plain attention on CPUs, where it trains 1.55 times as fast as torch's fused one, whose way back is slow there."""
    from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

    network: Any = unet
    network.set_attn_processor(AttnProcessor() if on_cpu else AttnProcessor2_0())
