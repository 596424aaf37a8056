"""Choosing what looks at pictures, and letting it look: networks by name, and pictures as vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import Context, ModelFile, NodeError, loader, node
from nodegraph_nodes.diffusion.families import ModelError
from nodegraph_nodes.diffusion.families.kinds import IMAGE_ENCODER, Kind
from nodegraph_nodes.diffusion.unfit import unfit
from nodegraph_nodes.training.data import PLAIN, Pick, Reader, bucket_of
from nodegraph_nodes.training.features import (
    INSTALL,
    Classifier,
    Extractor,
    MissingPackage,
    clip_recipe,
    efficientnet_recipe,
    inception_recipe,
    load_extractor,
    recipe_of,
)
from nodegraph_nodes.types import Dataset, FeatureNetwork, Features, Image, Precision, TrainedClassifier

_LAYERS = {"efficientnet_lite0": "head", "inception_v3": "pool3", "clip": "embedding"}
_INCEPTION = Kind("Inception v3", "training/load_feature_network")


@node(category="training/evaluate")
def load_feature_network(
    network: Annotated[
        Literal["efficientnet_lite0", "inception_v3", "clip"],
        Field(description="efficientnet_lite0 is a package; inception_v3 (what FID is published with) and clip are files."),
    ] = "efficientnet_lite0",
    file: Annotated[
        ModelFile[Literal["feature_network"]] | None,
        Field(description="Inception's .safetensors file under the names of its port, or CLIP's picture side as a folder."),
    ] = None,
    layer: Annotated[
        str,
        Field(description="Where vectors are taken: head, block 0 to block 15; pool1 to pool3; embedding. Empty: the last."),
    ] = "",
    size: Annotated[
        int | None, Field(ge=32, le=2048, description="Side in pixels of what it looks at; none: what it was trained with.")
    ] = None,
    precision: Annotated[Precision, Field(description="Figures of different precision do not compare.")] = "float32",
) -> FeatureNetwork:
    """Choose the network whose vectors pictures are compared in. Figures by different networks do not compare."""
    if network == "efficientnet_lite0" and file is not None:
        raise NodeError(
            "efficientnet_lite0 comes as a package and reads no file.", socket="file", expected="no file", got=file.name
        )
    if network != "efficientnet_lite0" and file is None:
        raise NodeError("This network's weights are missing.", socket="file", expected=f"weights of {network}", got="none")
    if network == "clip" and size is not None:
        raise NodeError("CLIP looks at pictures of one size.", socket="size", expected="none", got=str(size))
    layer = layer.strip() or _LAYERS[network]
    try:
        if file is None:
            return packaged(layer, size or 224, precision)
        if network == "clip":
            return clip_recipe(file.path, file.digest, layer, precision)
        return inception_recipe(file.path, file.digest, layer, size or 299, precision)
    except ModelError as error:
        if error.path == layer:
            raise NodeError(error.problem, socket="layer", got=layer) from None
        assert file is not None
        raise unfit(file, network, error, IMAGE_ENCODER if network == "clip" else _INCEPTION, socket="file") from None


def packaged(layer: str, size: int, precision: Precision) -> FeatureNetwork:
    """EfficientNet-Lite0. Raises NodeError where it is not installed."""
    try:
        return efficientnet_recipe(layer, size, precision)
    except MissingPackage as error:
        raise _missing(error) from None


@loader(FeatureNetwork)
def feature_network(recipe: FeatureNetwork, device: torch.device) -> Extractor:
    """A feature network on a device."""
    try:
        return load_extractor(recipe, device)
    except MissingPackage as error:
        raise _missing(error) from None
    except ModelError as error:
        raise NodeError(f"The feature network cannot be loaded: {error}") from None


def _missing(error: MissingPackage) -> NodeError:
    return NodeError(
        "EfficientNet-Lite0 is not installed.", socket="network", got=f"no package {error.name!r}", hint=f"Run: {INSTALL}"
    )


@node(category="training/evaluate", lane="gpu", output_name="features")
def picture_features(
    context: Context,
    network: FeatureNetwork | TrainedClassifier,
    pictures: Annotated[list[Image] | Dataset, Field(description="Pictures, or a data set's.")],
    count: Annotated[int, Field(ge=0, description="How many of a data set's pictures, chosen by the seed; 0: all.")] = 0,
    varied: Annotated[bool, Field(description="Vary a data set's pictures as a training sees them.")] = False,
    batch: Annotated[int, Field(ge=1, le=4096)] = 32,
    seed: Annotated[int, Field(ge=0)] = 0,
) -> Features:
    """Turn pictures into vectors, to compare sets of them."""
    eye = seeing(context, network)
    recipe = network if isinstance(network, FeatureNetwork) else recipe_of(network)
    total = len(pictures) if isinstance(pictures, list) else min(count or len(pictures.entries), len(pictures.entries))
    if total == 0:
        raise NodeError("There are no pictures.", socket="pictures", expected="at least one picture", got="none")
    stream = iter(pictures) if isinstance(pictures, list) else of_dataset(pictures, total, seed, varied)
    parts: list[torch.Tensor] = []
    done = 0
    while done < total:
        context.check_cancelled()
        group = [next(stream) for _ in range(min(batch, total - done))]
        one_size(group, recipe.size)
        parts.append(eye.features(group))
        done += len(group)
        context.progress(done, total)
    return Features(torch.cat(parts), recipe)


def seeing(context: Context, network: FeatureNetwork | TrainedClassifier) -> Extractor | Classifier:
    """What turns pictures into vectors, on the node's device."""
    if isinstance(network, TrainedClassifier):
        return Classifier(network, context.resident(network.trunk))
    extractor: Extractor = context.resident(network)
    return extractor


def of_dataset(dataset: Dataset, count: int, seed: int, varied: bool = False) -> Iterator[torch.Tensor]:
    """So many of a data set's pictures [H, W, 3], 0..1, in an order that the seed decides where not all are wanted."""
    place = bucket_of(dataset)
    order = torch.randperm(len(place), generator=torch.Generator().manual_seed(seed))[:count].sort().values
    with Reader(dataset, seed=seed) as reader:
        for entry in order.tolist():
            yield reader.read(Pick(entry, 0 if varied else PLAIN, int(place[entry]))).pixels.float() / 255


def one_size(pictures: Sequence[torch.Tensor], size: int, socket: str = "pictures") -> None:
    """Where a network takes pictures as they are, they have to be of one size. Raises NodeError."""
    shapes = {tuple(picture.shape[:2]) for picture in pictures}
    if size == 0 and len(shapes) > 1:
        raise NodeError("The pictures have several sizes.", socket=socket, hint="Give the network a size.")
