"""Picture classifiers: a small head over the vectors of a frozen network."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from nodegraph_nodes.types import FeatureNetwork, TrainedClassifier

from .extractor import Extractor


class Head(nn.Module):
    """Vectors [B, D] -> answers [B, classes]. width: of the hidden layer, 0: none. mean, std: of what it learned from."""

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int, width: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.hidden = nn.Linear(inputs, width) if width else nn.Identity()
        self.answer = nn.Linear(width or inputs, classes)
        self.drop = nn.Dropout(dropout)
        self.width = width

    def inner(self, vectors: Tensor) -> Tensor:
        """What the last layer reads: [B, width]."""
        normal: Tensor = self.drop((vectors - self.mean) / self.std)
        inner: Tensor = self.drop(self.hidden(normal).relu()) if self.width else normal
        return inner

    def forward(self, vectors: Tensor) -> Tensor:
        answers: Tensor = self.answer(self.inner(vectors))
        return answers


class Classifier:
    """A trained classifier with its networks."""

    def __init__(self, trained: TrainedClassifier, trunk: Extractor) -> None:
        self.classes, self._trunk = trained.classes, trunk
        self._head = Head(len(trained.tensors["mean"]), trained.width, len(trained.classes)).eval()
        self._head.load_state_dict(dict(trained.tensors))

    @torch.no_grad()
    def answers(self, pictures: Sequence[Tensor]) -> Tensor:
        """Pictures [H, W, C], 0..1 -> shares [B, classes] that sum to 1."""
        shares: Tensor = self._head(self._trunk.features(pictures)).softmax(1)
        return shares

    @torch.no_grad()
    def features(self, pictures: Sequence[Tensor]) -> Tensor:
        """Pictures as what the last layer reads: [B, width]."""
        return self._head.inner(self._trunk.features(pictures))


def recipe_of(trained: TrainedClassifier) -> FeatureNetwork:
    """What vectors of this classifier are known by."""
    digest = hashlib.sha256(trained.trunk.digest.encode())
    for name in sorted(trained.tensors):
        digest.update(trained.tensors[name].detach().cpu().float().contiguous().numpy().tobytes())
    return replace(trained.trunk, kind="classifier", path="", digest=digest.hexdigest(), layer="hidden")
