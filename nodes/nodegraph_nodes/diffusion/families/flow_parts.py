"""What SD 3 and FLUX.1 share: a shifted rectified flow, a transformer, the config of an autoencoder of 16 channels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from nodegraph_nodes.diffusion.schedules import shift_at
from nodegraph_nodes.types import Denoiser, NoiseProcess, ShiftBySize

from .assemble import fill, skeleton
from .errors import BrokenModel
from .parts import Piece, part_config, part_tensors, prefix_of, read_pieces
from .source import ModelSource, TensorInfo, read_header


class Names(Protocol):
    """How a transformer's tensors are called in a single file: a module such as `flux_names`."""

    LANDMARK: str
    PREFIXES: tuple[str, ...]

    def piece(self, name: str, config: Mapping[str, Any], prefix: str) -> Piece:
        """Where a tensor of diffusers' network lies."""

    def config_from(self, header: Mapping[str, TensorInfo], prefix: str) -> dict[str, Any]:
        """The network's config, by its tensors' shapes."""


def flow_process(scheduler: dict[str, Any], patch: int, native: int) -> NoiseProcess:
    """A diffusers flow-matching scheduler config -> the noise process. patch, native: in latent positions a side."""
    train_steps = int(scheduler.get("num_train_timesteps", 1000))
    if not scheduler.get("use_dynamic_shifting", False):
        return NoiseProcess("rectified_flow", train_steps, shift=float(scheduler.get("shift", 1.0)))
    by_size = ShiftBySize(
        base_shift=float(scheduler.get("base_shift", 0.5)),
        max_shift=float(scheduler.get("max_shift", 1.15)),
        base_tokens=int(scheduler.get("base_image_seq_len", 256)),
        max_tokens=int(scheduler.get("max_image_seq_len", 4096)),
        patch=patch,
        kind="linear" if scheduler.get("time_shift_type") == "linear" else "exponential",
    )
    return NoiseProcess("rectified_flow", train_steps, shift=shift_at(by_size, (native, native)), shift_by_size=by_size)


def transformer_config(source: ModelSource, names: Names) -> dict[str, Any]:
    """The transformer's config: the model's own, or read off a single file's shapes. Raises BrokenModel."""

    def from_shapes() -> dict[str, Any]:
        if source.is_folder:
            raise BrokenModel(str(source.path), "there is no transformer/config.json.")
        header = read_header(source.path)
        return names.config_from(header, prefix_of(header, names.LANDMARK, *names.PREFIXES) or "")

    return part_config(source, "transformer/config.json", from_shapes)


def load_transformer(network: Any, recipe: Denoiser, names: Names, dtype: torch.dtype) -> Any:
    """A network of diffusers' class `network`, from the `transformer` folder or from a single file. Raises BrokenModel."""
    source = ModelSource(Path(recipe.path), recipe.digest)
    config = transformer_config(source, names)
    transformer = skeleton(lambda: network.from_config(config))
    if source.is_folder:
        tensors = part_tensors(source, "transformer")
    else:
        prefix = prefix_of(read_header(source.path), names.LANDMARK, *names.PREFIXES) or ""
        pieces = {name: names.piece(name, config, prefix) for name in transformer.state_dict()}
        tensors = read_pieces(source.path, pieces, network="transformer")
    return fill(transformer, tensors, recipe.path, "transformer", dtype)


def vae_config(source: ModelSource, shift: float, scale: float) -> dict[str, Any]:
    """The autoencoder's config, or the one that both models were published with."""

    def published() -> dict[str, Any]:
        return {
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
            "latent_channels": 16,
            "norm_num_groups": 32,
            "sample_size": 1024,
            "shift_factor": shift,
            "scaling_factor": scale,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
        }

    return part_config(source, "vae/config.json", published)
