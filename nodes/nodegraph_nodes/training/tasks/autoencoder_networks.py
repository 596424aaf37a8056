"""New autoencoders, KL and VQ: diffusers' networks, by a few words of what they are to be."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from nodegraph import NodeError

Regularisation = Literal["kl", "vq"]


class Shape(NamedTuple):
    """What a new autoencoder is to be. channels: of each level, fine to coarse; the picture is halved between two of them.

    latent_channels: of a latent position; codebook: entries, for VQ. layers: residual blocks per level.
    """

    regularisation: Regularisation
    downscale: int
    latent_channels: int
    channels: tuple[int, ...]
    layers: int
    codebook: int
    attention: bool


def channels_for(downscale: int, width: int) -> tuple[int, ...]:
    """Channels of each level for a power of two: they double from level to level, up to four times the first."""
    return tuple(width * min(4, 2**level) for level in range(int(math.log2(downscale)) + 1))


def new_autoencoder(shape: Shape, size: int) -> Any:
    """An AutoencoderKL or VQModel with random weights. size: in pixels, for its config. Raises NodeError."""
    from diffusers import AutoencoderKL, VQModel

    levels = int(math.log2(shape.downscale)) + 1
    if 2 ** (levels - 1) != shape.downscale:
        raise NodeError(
            "An autoencoder halves the picture some times.",
            socket="downscale",
            expected="a power of two",
            got=str(shape.downscale),
        )
    if len(shape.channels) != levels:
        raise NodeError(
            "There must be channels for each level.",
            socket="channels",
            expected=f"{levels} numbers for a downscale of {shape.downscale}",
            got=", ".join(map(str, shape.channels)),
        )
    config: dict[str, Any] = {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": shape.latent_channels,
        "block_out_channels": shape.channels,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": shape.layers,
        "norm_num_groups": math.gcd(32, *shape.channels),
        "sample_size": size,
        "mid_block_add_attention": shape.attention,
    }
    if shape.regularisation == "kl":
        return AutoencoderKL(**config)
    return VQModel(**config, num_vq_embeddings=shape.codebook, vq_embed_dim=shape.latent_channels, scaling_factor=1.0)


@torch.no_grad()
def widen_latents(network: Any, channels: int) -> Any:
    """The same AutoencoderKL with more latent channels: the new ones hold nothing yet, so pictures come out as before.

    Encoders give means, then log variances; the new channels' are near 0 and low. Raises NodeError for fewer channels.
    """
    from diffusers import AutoencoderKL

    old = network.config.latent_channels
    if channels == old:
        return network
    if channels < old or "num_vq_embeddings" in network.config:
        raise NodeError(
            "The latents of an autoencoder that is trained already can only get more channels, and only with KL.",
            socket="latent_channels",
            expected=f"{old} or more",
            got=str(channels),
        )
    wide = AutoencoderKL.from_config({**network.config, "latent_channels": channels})
    tensors, fresh = network.state_dict(), wide.state_dict()
    for name, before in tensors.items():
        new = fresh[name]
        if new.shape == before.shape:
            fresh[name] = before
            continue
        rows = _places(before.shape[0], new.shape[0], old, channels)
        kept = new * 0.1 if new.ndim == 4 else torch.zeros_like(new)
        if new.ndim == 4:
            kept[rows] = 0
            columns = _places(before.shape[1], new.shape[1], old, channels)
            kept[rows[:, None], columns] = before
        else:
            kept[channels + old :] = _UNSURE  # of log variances; other vectors are shorter
            kept[rows] = before
        fresh[name] = kept
    wide.load_state_dict(fresh)
    return wide


_UNSURE = -4.0


def _places(before: int, now: int, old: int, channels: int) -> Tensor:
    """Where `before` rows lie among `now`: both halves of means and log variances grow at their ends."""
    first = torch.arange(min(before, old) if before != now else before)
    return torch.cat([first, channels + first]) if before == 2 * old and now == 2 * channels else first


@torch.no_grad()
def even_out(network: Any, mean: Tensor, std: Tensor) -> None:
    """Give each latent channel of an AutoencoderKL mean 0 and standard deviation 1; pictures come out as before.

    mean, std: [C], as they are now. A channel may say much in small numbers, which a diffusion model would not hear below its
    noise. Encoding and decoding end and begin with a linear layer, which takes the change in; log variances follow.
    """
    into, out, channels = network.quant_conv, network.post_quant_conv, len(mean)
    into.weight[:channels] /= std.view(-1, 1, 1, 1)
    into.bias[:channels] = (into.bias[:channels] - mean) / std
    into.bias[channels:] -= 2 * std.log()
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= std.view(1, -1, 1, 1)


def freeze_encoder(network: Any, start: object) -> None:
    """Leave the way from pictures to latents as it is. Raises NodeError for a network that has learned nothing yet."""
    if start is None:
        raise NodeError(
            "A decoder alone can be trained only for latents that there are.",
            socket="start",
            expected="an autoencoder",
            got="none",
            hint="Link the one whose decoder is to get better, or train all of a new one.",
        )
    for part in (network.encoder, network.quant_conv, getattr(network, "quantize", None)):
        if part is not None:
            part.requires_grad_(False)


class Coded(NamedTuple):
    """A pass through an autoencoder. made: [B, 3, H, W]; regular: what keeps latents in order, a scalar; used: VQ's entries."""

    made: Tensor
    regular: Tensor
    used: Tensor | None


class Passing(nn.Module):
    """An autoencoder as it is trained: there and back in one call."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.is_vq = "num_vq_embeddings" in network.config

    def forward(self, pictures: Tensor, noise: Tensor | None) -> Coded:
        """Pictures [B, 3, H, W], -1..1. noise [B, C, h, w]: which sample of the posterior is decoded; none: its mean.

        KL: regular is the divergence from the unit Gaussian per element of the latent (Kingma and Welling 2014).
        VQ: the codebook and commitment losses (van den Oord et al. 2017, equation 3).
        """
        if self.is_vq:
            latents = self.network.encode(pictures, return_dict=False)[0]
            quantised, regular, (_, _, used) = self.network.quantize(latents)
            made = self.network.decode(quantised, force_not_quantize=True, return_dict=False)[0]
            return Coded(made.float(), regular.float(), used)
        posterior = self.network.encode(pictures, return_dict=False)[0]
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
        latents = mean if noise is None else mean + (0.5 * log_variance).exp() * noise
        regular = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return Coded(self.network.decode(latents, return_dict=False)[0].float(), regular, None)

    def latents(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, H, W], -1..1 -> raw latents [B, C, h, w]: the posterior's mean, or before VQ's quantising."""
        coded = self.network.encode(pictures, return_dict=False)[0]
        raw: Tensor = coded if self.is_vq else coded.mean
        return raw.float()

    @property
    def last_layer(self) -> Tensor:
        """The weights that make the picture: where the pulls of two losses are compared."""
        weight: Tensor = self.network.decoder.conv_out.weight
        return weight


@torch.no_grad()
def revive(codebook: nn.Embedding, counts: Tensor, latents: Tensor, random: torch.Generator) -> int:
    """Give entries that were never used a place among the latents (random restarts, Dhariwal et al. 2020, section 3.2).

    counts: [K], uses of each entry since last time; latents: [N, C]. How many there were.
    """
    dead = (counts == 0).nonzero()[:, 0]
    if len(dead):
        chosen = torch.randint(len(latents), (len(dead),), generator=random, device=random.device).to(latents.device)
        codebook.weight[dead] = latents[chosen].to(codebook.weight)
    return len(dead)
