"""What kind of model file this is, by its names, and which node reads it: for who chose one kind where another belongs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .control_names import adapter_names
from .errors import ModelError
from .source import ModelSource, TensorInfo, read_header

Header = Mapping[str, TensorInfo]


class Kind(NamedTuple):
    """What a file is, for the person who chose it, and the node that reads it."""

    name: str
    node: str


CHECKPOINT = Kind("a whole model", "diffusion/load_model")
AUTOENCODER = Kind("an autoencoder (VAE)", "diffusion/load_autoencoder")
LORA = Kind("a LoRA or the like", "diffusion/apply_lora")
CONTROLNET = Kind("a ControlNet", "diffusion/load_controlnet")
T2I_ADAPTER = Kind("a T2I-Adapter", "diffusion/load_controlnet")
IP_ADAPTER = Kind("an IP-Adapter", "diffusion/load_ip_adapter")
IMAGE_ENCODER = Kind("an image encoder", "diffusion/load_image_encoder")
EMBEDDING = Kind("a learned word (an embedding)", "diffusion/load_embedding")
UPSCALER = Kind("an upscaler", "upscale/load_upscaler")
DENOISER = Kind("a denoising network alone", "diffusion/denoiser_from_file")

_OF_CLASS = {
    "AutoencoderKL": AUTOENCODER,
    "ControlNetModel": CONTROLNET,
    "T2IAdapter": T2I_ADAPTER,
    "UNet2DConditionModel": DENOISER,
    "CLIPVisionModelWithProjection": IMAGE_ENCODER,
}
_IMAGE_ENCODER_MARKS = ("vision_model.embeddings.class_embedding", "visual_projection.weight")
_UPSCALERS = (".RDB1.", ".rdb1.", "layers.0.residual_group.", "params_ema.", "block_1.c1_r.", "upsampler.")
_COMPACT = {"body.0.weight", "body.0.bias", "body.1.weight", "body.2.weight"}


def kind_of(path: str | Path) -> Kind | None:
    """The kind of a file or folder on disk, or None where nothing tells, or it cannot be read."""
    source = ModelSource(Path(path), "")
    try:
        return _folder(source) if source.is_folder else kind_of_names(read_header(source.path))
    except ModelError:
        return None


def kind_of_names(header: Header) -> Kind | None:
    """The kind of a file, by the names in its header. What several have is asked for last."""
    return next((kind for kind, test in _TESTS if test(header)), None)


def _folder(source: ModelSource) -> Kind | None:
    if source.has("model_index.json") or source.has("starter.json"):
        return CHECKPOINT
    if not source.has("config.json"):
        return None
    config = source.json("config.json")
    classes = (config.get("_class_name"), *(config.get("architectures") or ()))
    return next((_OF_CLASS[name] for name in classes if name in _OF_CLASS), None)


def _any(*marks: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda header: any(mark in name for name in header for mark in marks)


def _all(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda header: all(name in header for name in names)


def _is_checkpoint(header: Header) -> bool:
    return _any("model.diffusion_model.")(header) and _any("cond_stage_model.", "conditioner.", "text_encoders.")(header)


def _is_embedding(header: Header) -> bool:
    return len(header) <= 4 and _any("emb_params", "string_to_param", "clip_l", "clip_g")(header)


def _is_adapter(header: Header) -> bool:
    return bool(adapter_names(header))


def _is_upscaler(header: Header) -> bool:
    return _any(*_UPSCALERS)(header) or header.keys() >= _COMPACT


_TESTS: tuple[tuple[Kind, Callable[[Header], bool]], ...] = (
    (LORA, _any("lora_down", "lora_up", "lora_A.", "lora.down", ".hada_w1_a", ".lokr_w1", ".oft_blocks")),
    (CONTROLNET, _any("control_model.", "controlnet_cond_embedding", "input_hint_block")),
    (IP_ADAPTER, _any("image_proj.", "ip_adapter.")),
    (EMBEDDING, _is_embedding),
    (CHECKPOINT, _is_checkpoint),
    (DENOISER, _any("model.diffusion_model.", "double_blocks.0.", "joint_blocks.0.")),
    (AUTOENCODER, _any("decoder.mid.block_1.conv1.weight", "decoder.mid_block.resnets.0.conv1.weight")),
    (DENOISER, _all("input_blocks.0.0.weight")),
    (DENOISER, _all("conv_in.weight", "time_embedding.linear_1.weight")),
    (IMAGE_ENCODER, _all(*_IMAGE_ENCODER_MARKS)),
    (T2I_ADAPTER, _is_adapter),
    (UPSCALER, _is_upscaler),
)
