"""What a denoiser's training begins with: a network that exists, a noise process, and sizes that fit both."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.diffusion.families.storage import dense
from nodegraph_nodes.training.data import sizes
from nodegraph_nodes.types import Autoencoder, Dataset, Denoiser, NoiseProcess, Prediction


def process_of(prediction: Prediction, zero_terminal_snr: bool) -> NoiseProcess:
    """The noise of a new denoiser: a rectified flow, or Stable Diffusion's. Raises NodeError."""
    if prediction == "flow":
        return NoiseProcess("rectified_flow")
    if prediction == "epsilon" and zero_terminal_snr:
        raise NodeError(
            "A network that predicts noise says nothing of the picture at pure noise.",
            socket="zero_terminal_snr",
            expected="prediction v with it",
            got="epsilon",
            hint="Choose v or flow, or leave zero_terminal_snr off.",
        )
    return NoiseProcess("variance_preserving", zero_terminal_snr=zero_terminal_snr)


def begun_from(network: Any, start: Denoiser, autoencoder: Autoencoder, concat: int = 0) -> Any:
    """A copy of a denoiser's U-Net in float32, to be trained. Raises NodeError for networks of other kinds.

    concat: further input channels that it is to have; those that it does not have yet count nothing at first.
    """
    from diffusers import UNet2DConditionModel

    if start.latent_channels > autoencoder.latent_channels or start.downscale != autoencoder.downscale:
        raise NodeError(
            "This denoiser works on other latents than the autoencoder makes.",
            socket="start",
            expected=f"at most {autoencoder.latent_channels} channels, {autoencoder.downscale} pixels per position",
            got=f"{start.latent_channels} channels, {start.downscale} pixels",
            hint="Use the autoencoder of the same model.",
        )
    if start.patches:
        raise NodeError(
            "This denoiser wears LoRAs, which would be lost.",
            socket="start",
            expected="a model as it is in its file",
            got=", ".join(lora.name for lora in start.patches),
            hint="Link the model itself.",
        )
    if start.concat_channels not in (0, concat):
        raise NodeError(
            "This denoiser has other further input channels.",
            socket="start",
            expected=f"{concat}, or none" if concat else "none",
            got=str(start.concat_channels),
            hint="Inpainting models are trained on with further = inpainting." if start.concat_channels > 1 else None,
        )
    if not isinstance(network, UNet2DConditionModel) or network.config.addition_embed_type is not None:
        raise NodeError(
            "Only U-Nets that are told words or a class, and no sizes, can be trained here.",
            socket="start",
            expected="a model such as the starter's or Stable Diffusion 1's",
            got=start.family,
        )
    tensors = {name: dense(value).float() for name, value in network.state_dict().items()}
    return _with_channels(network.config, tensors, autoencoder.latent_channels, concat)


def _with_channels(config: Any, tensors: dict[str, Tensor], channels: int, concat: int) -> Any:
    """A U-Net for latents of so many channels and further ones: those that are new to it (see an autoencoder's widening) count
    nothing yet."""
    from diffusers import UNet2DConditionModel

    old = config.out_channels
    sizes_now = {"in_channels": channels + concat, "out_channels": channels}
    wide = UNet2DConditionModel.from_config({**config, **sizes_now})
    fresh = wide.state_dict()
    reads, says = fresh["conv_in.weight"].zero_(), fresh["conv_out.weight"].zero_()
    reads[:, :old] = tensors["conv_in.weight"][:, :old]
    if config.in_channels > old:
        reads[:, channels:] = tensors["conv_in.weight"][:, old:]
    says[:old] = tensors["conv_out.weight"]
    bias = fresh["conv_out.bias"].zero_()
    bias[:old] = tensors["conv_out.bias"]
    wide.load_state_dict({**tensors, "conv_in.weight": reads, "conv_out.weight": says, "conv_out.bias": bias})
    return wide


def check_sizes(data: Dataset, autoencoder: Autoencoder, levels: int) -> None:
    """Pictures must come in few sizes that autoencoder and U-Net can halve. Raises NodeError."""
    multiple = autoencoder.downscale * 2 ** (levels - 1)
    found = sizes(data)
    if not data.buckets and len(found) > 1:
        raise NodeError(
            "The pictures have no common size.",
            socket="data",
            hint="Put training/resize_pictures, or training/bucket_pictures, before it.",
        )
    for width, height in found:
        if width % multiple or height % multiple:
            raise NodeError(
                "The pictures' size cannot be halved often enough.",
                socket="data",
                expected=f"multiples of {multiple} ({autoencoder.downscale} by the autoencoder, {levels} levels of the U-Net)",
                got=f"{width} x {height}",
                hint="Change the size of the pictures, or use fewer levels.",
            )
