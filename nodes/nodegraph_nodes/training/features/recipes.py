"""From what a user names to a recipe, and from a recipe to its network."""

from pathlib import Path

import torch

from nodegraph_nodes.diffusion.families import compute_dtype
from nodegraph_nodes.diffusion.families.errors import ModelError
from nodegraph_nodes.diffusion.families.image_encoder import (
    CLIP_MEAN,
    CLIP_STD,
    describe_image_encoder,
    load_image_encoder,
    side_seen,
)
from nodegraph_nodes.diffusion.families.source import read_header, read_tensors
from nodegraph_nodes.types import FeatureNetwork, ImageEncoder, Precision

from .clip import CLIP_LAYERS, ClipPictures
from .extractor import Extractor
from .inception import INCEPTION_LAYERS, InceptionUpTo, inception_v3
from .packaged import EFFICIENTNET_LAYERS, EfficientNetUpTo, packaged_digest

_HALF = (0.5, 0.5, 0.5)  # pixels are -1..1
_INCEPTION = (128 / 255, 128 / 255, 128 / 255)  # (x - 128) / 128, of 255, as its graph has it


def efficientnet_recipe(layer: str = "head", size: int = 224, precision: Precision = "float32") -> FeatureNetwork:
    """The packaged network. Raises MissingPackage, ModelError for a layer that it has not."""
    _known(layer, EFFICIENTNET_LAYERS, "EfficientNet-Lite0")
    return FeatureNetwork("efficientnet_lite0", "", packaged_digest(), layer, size, _HALF, _HALF, precision)


def inception_recipe(
    path: Path, digest: str, layer: str = "pool3", size: int = 299, precision: Precision = "float32"
) -> FeatureNetwork:
    """Inception v3 in a .safetensors file, under the names of its port for FID. Raises ModelError."""
    _known(layer, INCEPTION_LAYERS, "Inception v3")
    header = read_header(path)
    wanted = {name for name, _ in inception_v3().state_dict().items() if not name.endswith("num_batches_tracked")}
    if missing := sorted(wanted - header.keys()):
        raise ModelError(
            str(path), f"not Inception v3 as FID uses it: {len(missing)} tensors are missing, {missing[0]} among them."
        )
    return FeatureNetwork("inception_v3", str(path), digest, layer, size, _INCEPTION, _INCEPTION, precision)


def clip_recipe(path: Path, digest: str, layer: str = "embedding", precision: Precision = "float32") -> FeatureNetwork:
    """CLIP's picture side, in transformers' layout. Raises ModelError."""
    _known(layer, CLIP_LAYERS, "CLIP")
    encoder = describe_image_encoder(path, digest)
    return FeatureNetwork("clip", str(path), digest, layer, side_seen(encoder), CLIP_MEAN, CLIP_STD, precision)


def load_extractor(recipe: FeatureNetwork, device: torch.device | str) -> Extractor:
    """The network of a recipe. Raises ModelError, MissingPackage."""
    dtype = compute_dtype(recipe.precision, device)
    if recipe.kind == "efficientnet_lite0":
        network: torch.nn.Module = EfficientNetUpTo(recipe.layer)
    elif recipe.kind == "inception_v3":
        network = InceptionUpTo(read_tensors(Path(recipe.path)), recipe.layer)
    elif recipe.kind == "clip":
        encoder = load_image_encoder(ImageEncoder(recipe.path, recipe.digest), "cpu", torch.float32)
        network = ClipPictures(encoder.model, recipe.layer)
    else:
        raise ModelError(recipe.path, "a classifier's vectors come from the classifier itself.")
    return Extractor(network.to(device, dtype), recipe.size, recipe.mean, recipe.std)


def _known(layer: str, layers: tuple[str, ...], network: str) -> None:
    if layer not in layers:
        raise ModelError(layer, f"{network} has no such layer; it has {', '.join(layers)}.")
