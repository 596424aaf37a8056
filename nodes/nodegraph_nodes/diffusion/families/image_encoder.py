"""CLIP's picture side (Radford et al. 2021), in transformers' layout: a folder, or one .safetensors file.

A single file says nothing about its configuration: it is read from the shapes and, for what they do not tell, from the number
of layers, as for the published encoders (B, L, H, bigG). A folder `NAME.config/` with a config.json beside `NAME.safetensors`
says otherwise.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph_nodes.types import ImageEmbedding, ImageEncoder, Precision

from .assemble import fill, skeleton
from .errors import BrokenModel, ModelError
from .held_model import HeldModel
from .source import ModelSource, TensorInfo, read_header, read_json, read_tensors

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # what OpenAI's CLIP was trained with, and all since
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_WEIGHTS = ("model.safetensors", "model.fp16.safetensors")
_CLASS = "vision_model.embeddings.class_embedding"


class _Kind(NamedTuple):
    heads: int
    activation: str


_BY_LAYERS = {12: _Kind(12, "quick_gelu"), 24: _Kind(16, "quick_gelu"), 32: _Kind(16, "gelu"), 48: _Kind(16, "gelu")}


def describe_image_encoder(path: str | Path, digest: str, precision: Precision = "auto") -> ImageEncoder:
    """The recipe of an image encoder, from its config and header alone. Raises ModelError."""
    recipe = ImageEncoder(str(path), digest, precision)
    weights = _weights(recipe)
    header = read_header(weights)
    if _CLASS not in header or "visual_projection.weight" not in header:
        sought = f"{_CLASS} and visual_projection.weight"
        raise ModelError(str(path), f"not a CLIP image encoder in transformers' layout: {sought} are missing.")
    _config(recipe, weights, header)
    return recipe


def load_image_encoder(recipe: ImageEncoder, device: torch.device | str, dtype: torch.dtype) -> "CLIPImageEncoder":
    """The network of a recipe, on the device. Raises ModelError."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    weights = _weights(recipe)
    config = CLIPVisionConfig(**_config(recipe, weights, read_header(weights)))
    network = skeleton(lambda: CLIPVisionModelWithProjection(config))
    return CLIPImageEncoder(fill(network, read_tensors(weights), recipe.path, "image encoder", dtype))


def side_seen(recipe: ImageEncoder) -> int:
    """The side in pixels of what an image encoder looks at, without its weights. Raises ModelError."""
    weights = _weights(recipe)
    return int(_config(recipe, weights, read_header(weights)).get("image_size", 224))


def _weights(recipe: ImageEncoder) -> Path:
    source = ModelSource(Path(recipe.path), recipe.digest)
    if not source.path.exists():
        raise ModelError(recipe.path, "there is no such file or folder.")
    return source.weights(".", *_WEIGHTS) if source.is_folder else source.path


def _config(recipe: ImageEncoder, weights: Path, header: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """What CLIPVisionConfig is to be told."""
    path = Path(recipe.path)
    file = path / "config.json" if path.is_dir() else path.with_suffix(".config") / "config.json"
    if path.is_dir() or file.exists():
        return read_json(file)
    try:
        width, _, patch, _ = header["vision_model.embeddings.patch_embedding.weight"].shape
        places = header["vision_model.embeddings.position_embedding.weight"].shape[0]
        hidden = header["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
        projected = header["visual_projection.weight"].shape[0]
    except (KeyError, ValueError) as error:
        raise BrokenModel(str(weights), f"an image encoder without {error}.") from None
    layers = len({name.split(".")[3] for name in header if name.startswith("vision_model.encoder.layers.")})
    if layers not in _BY_LAYERS:
        known = ", ".join(map(str, _BY_LAYERS))
        raise ModelError(
            str(weights),
            f"an image encoder of {layers} layers; those of {known} are known. "
            f"Put its config.json into {file.parent.name}/ beside it.",
        )
    return {
        "hidden_size": width,
        "intermediate_size": hidden,
        "projection_dim": projected,
        "num_hidden_layers": layers,
        "num_attention_heads": _BY_LAYERS[layers].heads,
        "hidden_act": _BY_LAYERS[layers].activation,
        "patch_size": patch,
        "image_size": patch * round((places - 1) ** 0.5),
    }


class CLIPImageEncoder(HeldModel):
    """An image encoder. size: the side in pixels of what it looks at."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.size = int(model.config.image_size)
        self._empty: Tensor | None = None

    def to(self, device: torch.device | str) -> Self:
        self._empty = None
        return super().to(device)

    @torch.no_grad()
    def encode(self, image: Tensor, crop: bool = True) -> ImageEmbedding:
        """What it says of a picture [H, W, C], 0..1. crop: look at the middle square, else at all, squeezed into a square."""
        pixels = clip_pixels(image, self.size, crop)[None]
        pooled, states = self._forward(pixels)
        if self._empty is None:
            self._empty = self._forward(torch.zeros_like(pixels))[1]
        return ImageEmbedding(pooled, states, self._empty.clone())

    def _forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        place = next(self.model.parameters())
        output = self.model(pixels.to(place), output_hidden_states=True)
        return output.image_embeds[0].float(), output.hidden_states[-2][0].float().clone()


def clip_pixels(image: Tensor, size: int, crop: bool) -> Tensor:
    """A picture [H, W, C], 0..1, as CLIP is shown it: [3, size, size], normalised. Transparent places become white.

    Resized bicubically with antialiasing, as Pillow does; where Pillow rounds to 8 bits between the axes and after, nothing is
    rounded here.
    """
    image = image.float()
    if image.shape[-1] == 4:
        image = image[..., :3] * image[..., 3:] + (1 - image[..., 3:])
    height, width = image.shape[:2]
    if crop:
        short = min(height, width)
        height, width = int(size * height / short), int(size * width / short)
    else:
        height = width = size
    planes = interpolate(image.permute(2, 0, 1)[None], (height, width), mode="bicubic", antialias=True)[0].clamp(0, 1)
    top, left = (height - size) // 2, (width - size) // 2
    planes = planes[:, top : top + size, left : left + size]
    return (planes - planes.new_tensor(CLIP_MEAN)[:, None, None]) / planes.new_tensor(CLIP_STD)[:, None, None]
