"""Models that are told a class instead of a prompt: what they know, and how it is said to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from nodegraph_nodes.types import Conditioning

LABEL = "class_label"


@dataclass(frozen=True, slots=True)
class Classes:
    """What a model can be told. count: classes are 0..count-1; nothing: the number that stands for no class, or None."""

    count: int
    nothing: int | None
    names: Mapping[str, int]


def known_classes(rows: int, index: dict[str, Any]) -> Classes:
    """Classes of a model with a table of `rows` embeddings. index: its model_index.json, whose id2label may name them.

    A row more than there are names, or than ImageNet's 1000, was trained to mean nothing; so was `null_class`, if it is given.
    """
    names = label_names(index)
    count = len(set(names.values())) or (1000 if rows == 1001 else rows)
    nothing = index.get("null_class", rows - 1 if rows == count + 1 else None)
    return Classes(min(count, rows), nothing if isinstance(nothing, int) else None, names)


def label_names(index: dict[str, Any]) -> dict[str, int]:
    """{name: number} from id2label, whose names may be several, with commas between them, as in diffusers' DiTPipeline."""
    labels = index.get("id2label")
    if not isinstance(labels, dict):
        return {}
    return {name.strip().lower(): int(number) for number, names in labels.items() for name in str(names).split(",")}


def told_class(family: str, number: int) -> Conditioning:
    """What a model is told of a class."""
    return Conditioning(torch.zeros(0, 0), family, extra={LABEL: torch.tensor(number)})


def told_nothing(family: str) -> Conditioning:
    """What a model is told that is told nothing."""
    return Conditioning(torch.zeros(0, 0), family)
