"""The networks that several families share: diffusers' conditional U-Net and its KL autoencoder.

Results are contiguous, so that a value which was stored and read back computes the same bits as the original.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.types import Autoencoder, Denoiser

from .attention import cross_attentions, steered
from .loaded import Hints, Prompts
from .on_device import OnDevice

AESTHETIC_SCORE, NEGATIVE_AESTHETIC_SCORE = 6.0, 2.5
"""What SDXL's refiner is told of a picture's beauty (0 to 10) where the prompt says nothing: diffusers' defaults."""


class UNetDenoiser(OnDevice):
    """A diffusers UNet2DConditionModel.

    Where it has a class embedding, that receives the pooled prompt. SDXL's is also told sizes (Podell et al. 2023, section
    2.2): the prompt's extra `time_ids`, or else that the picture being made is whole and as large as it is.
    """

    def __init__(self, recipe: Denoiser, unet: Any, channels_last: bool = True) -> None:
        self.family = recipe.family
        self.prediction = recipe.prediction
        super().__init__(for_inference(unet, channels_last))
        self._takes_pooled = unet.config.class_embed_type is not None
        self._downscale = recipe.downscale
        self.cross_attentions = cross_attentions(unet)

    @torch.no_grad()
    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        """x [B, C, h, w] at one timestep per item -> the network's raw output [B, C, h, w] float32."""
        place = self.place
        if hints is not None and hints.concat is not None:
            x = torch.cat([x, hints.concat.to(x)], 1)
        negative = () if hints is None else hints.negative
        added = added_conditions(self.module.config, self._downscale, x, prompts, negative, place)
        with steered(self.cross_attentions, hints, prompts.states.to(place), x):
            output = self.module(
                x.to(place),
                torch.tensor(timesteps, device=place.device, dtype=torch.float32),
                prompts.states.to(place),
                class_labels=prompts.pooled.to(place) if self._takes_pooled and prompts.pooled is not None else None,
                added_cond_kwargs=added,
                **_residuals(hints, place),
                return_dict=False,
            )[0]
        return output.float().contiguous()  # type: ignore[no-any-return]


def added_conditions(
    config: Any, downscale: int, x: Tensor, prompts: Prompts, negative: Sequence[bool], place: Tensor
) -> dict[str, Tensor] | None:
    """What SDXL's networks are told beside the prompt's states: its pooled state [B, P] and sizes [B, 6], the refiner's [B, 5].

    Podell et al. 2023, section 2.2: the prompt's extra `time_ids`, or else that the picture being made is whole and as large as
    it is. None for a network that is told nothing. negative: which prompts are negative ones; none given means that none is.
    """
    if config.get("addition_embed_type") != "text_time":
        return None
    if prompts.pooled is None:
        raise ValueError("This model needs prompts with a pooled state; encode them with its own text encoder.")
    count = (config["projection_class_embeddings_input_dim"] - prompts.pooled.shape[1]) // config["addition_time_embed_dim"]
    sizes = prompts.extra.get("time_ids")
    if sizes is None:
        sizes = _sizes(x, downscale, count, negative)
    elif sizes.shape[1] != count:
        raise ValueError(
            f"The prompt's size conditioning has {sizes.shape[1]} numbers where this model takes {count}; "
            "SDXL's base and its refiner each need their own."
        )
    return {"text_embeds": prompts.pooled.to(place), "time_ids": sizes.to(place.device, torch.float32)}


def _sizes(x: Tensor, downscale: int, count: int, negative: Sequence[bool]) -> Tensor:
    """(height, width, 0, 0, height, width) of the pictures being made, or the refiner's (height, width, 0, 0, score)."""
    height, width = (float(side * downscale) for side in x.shape[2:])
    if count == 6:
        return torch.tensor([[height, width, 0, 0, height, width]]).expand(len(x), -1)
    scores = [NEGATIVE_AESTHETIC_SCORE if is_negative else AESTHETIC_SCORE for is_negative in negative or [False] * len(x)]
    return torch.tensor([[height, width, 0, 0, score] for score in scores])


def _residuals(hints: Hints | None, place: Tensor) -> dict[str, Any]:
    """What control networks add, as diffusers' U-Net takes it."""
    if hints is None or hints.residuals is None:
        return {}
    down, mid, inside = hints.residuals
    taken: dict[str, Any] = {}
    if mid is not None:
        taken["down_block_additional_residuals"] = tuple(each.to(place) for each in down)
        taken["mid_block_additional_residual"] = mid.to(place)
    if inside:
        taken["down_intrablock_additional_residuals"] = [each.to(place) for each in inside]  # emptied by the U-Net
    return taken


class KLAutoencoder(OnDevice):
    """A diffusers AutoencoderKL. Normalised latents are (raw - shift) * scale; pixels inside are -1..1."""

    def __init__(self, recipe: Autoencoder, vae: Any) -> None:
        self.family = recipe.family
        super().__init__(for_inference(vae))
        self.shift = recipe.shift
        self.scale = recipe.scale
        self.downscale = recipe.downscale

    @torch.no_grad()
    def decode(self, samples: Tensor) -> Tensor:
        """Normalised latents [B, C, h, w] -> pixels [B, H, W, 3] float32, 0..1."""
        raw = (samples / self.scale + self.shift).to(self.place)
        pixels = self.module.decode(raw, return_dict=False)[0].float()
        return (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).contiguous()  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Pixels [B, H, W, 3], 0..1 -> normalised latents [B, C, h, w] float32.

        The posterior's mean, or with noise [B, C, h, w] a sample of it. Raises ValueError for a size it cannot encode.
        """
        height, width = pixels.shape[1:3]
        if height % self.downscale or width % self.downscale or pixels.shape[3] != 3:
            raise ValueError(
                f"This autoencoder takes RGB pictures whose sides are multiples of {self.downscale}, "
                f"but got {width} x {height} with {pixels.shape[3]} channels; crop or resize it first."
            )
        x = (pixels.permute(0, 3, 1, 2) * 2 - 1).to(self.place)
        posterior = self.module.encode(x, return_dict=False)[0]
        raw = posterior.mean.float()
        if noise is not None:
            raw = raw + posterior.std.float() * noise.to(raw)
        return ((raw - self.shift) * self.scale).contiguous()  # type: ignore[no-any-return]


def for_inference(network: Any, channels_last: bool = True) -> Any:
    """For inference. channels_last: see `lies_channels_last`."""
    network = network.eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last) if channels_last else network


def lies_channels_last(network: Any, device: torch.device) -> bool:
    """Whether convolutions' weights are to lie with their channels last.

    Small networks gain by it on a CPU: 6% on the starter's steps, 15% on decoding (AVX-512). Stable Diffusion 1's U-Net, with
    860 M parameters, loses 3 to 7% there (2 cores, 256 pixels, batch 2: 2.20 s a step against 2.05 to 2.20).
    """
    return device.type != "cpu" or sum(parameter.numel() for parameter in network.parameters()) < _LARGE


_LARGE = 300_000_000
