"""What evaluation reads and gives: networks that turn pictures into vectors, the vectors, and classifiers trained here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from nodegraph import socket
from nodegraph_nodes.tensors import describe, generation, storages

from .coding import CODEC, TENSORS
from .recipes import Precision
from .training import History

FeatureKind = Literal["efficientnet_lite0", "inception_v3", "clip", "classifier"]


@socket(color="#26a69a", codec=CODEC)
@dataclass(frozen=True, slots=True)
class FeatureNetwork:
    """Recipe of a network that turns pictures into vectors.

    path: of its weights, empty for a packaged one. layer: where the vectors are taken; what lies there is averaged over places.
    size: the side in pixels of the square that pictures are brought to, 0: as they are. mean, std: what pixels 0..1 are
    normalised with, per channel. Vectors compare only where the whole recipe is the same.
    """

    kind: FeatureKind
    path: str
    digest: str
    layer: str
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    precision: Precision = "float32"


@socket(color="#4db6ac", **TENSORS)
@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Pictures as vectors. vectors: [N, D] float32, in the pictures' order; network: what made them."""

    vectors: Tensor
    network: FeatureNetwork

    def __len__(self) -> int:
        return len(self.vectors)


@socket(color="#80cbc4", codec=CODEC)
@dataclass(frozen=True, slots=True)
class JointEncoder:
    """Recipe of a network with a text and a picture side that speak of one space (CLIP, Radford et al. 2021)."""

    path: str
    digest: str
    precision: Precision = "float32"


@socket(color="#00897b", codec=CODEC, storages=storages, generation=generation, describe=describe, durable=True)
@dataclass(frozen=True, slots=True, eq=False)
class TrainedClassifier:
    """A frozen picture classifier that was trained here. tensors: its weights; classes: the names it answers with.

    trunk: the frozen network whose vectors it reads. width: of its hidden layer, 0: none. facts: figures and settings, as JSON.
    """

    tensors: Mapping[str, Tensor]
    classes: tuple[str, ...]
    trunk: FeatureNetwork
    width: int
    history: History
    facts: str = "{}"
