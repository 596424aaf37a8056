"""A picture classifier for judging models: a head over a frozen network's vectors, which are computed once and kept.

Each picture has some worn views to train on and one more, which it is measured by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nodegraph import NodeError
from nodegraph_nodes.training.data import Pick, Reader, bucket_of
from nodegraph_nodes.training.evaluate import ranks, top
from nodegraph_nodes.training.features import Extractor, Head
from nodegraph_nodes.training.loop import Moment, Networks, Part, Run, write_tensors
from nodegraph_nodes.types import Dataset

from .wear import worn

CLASSIFIER = "classifier"
_BATCH = 64
_SMOOTHING = 0.1  # Szegedy et al. 2016, section 7


class ClassifierTask:
    """Training a head. vectors: [views + 1, N, D], the last view is measured by; labels: [N]."""

    betas: Mapping[str, tuple[float, float]] = {}
    averaged = (CLASSIFIER,)

    def __init__(self, vectors: Tensor, labels: Tensor, head: Head, *, batch: int, seed: int, device: torch.device) -> None:
        self._known, self._fresh, self._labels = vectors[:-1], vectors[-1], labels
        self._batch, self._seed, self._device = batch, seed, device
        flat = self._known.flatten(0, 1)
        head.mean.copy_(flat.mean(0))
        head.std.copy_(flat.std(0) + 1e-3)
        self.networks: dict[str, nn.Module] = {CLASSIFIER: head}

    def picks(self, number: int) -> Sequence[Any]:
        """Views of pictures, as numbers: what each batch has depends on its number alone."""
        random = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        views, pictures = self._known.shape[:2]
        return torch.randint(views * pictures, (self._batch,), generator=random).tolist()

    def read(self, pick: Any) -> Any:
        return pick

    def collate(self, examples: Sequence[Any]) -> dict[str, Tensor]:
        chosen = torch.tensor(examples)
        view, picture = chosen // len(self._labels), chosen % len(self._labels)
        return {"vectors": self._known[view, picture].float(), "labels": self._labels[picture]}

    def losses(self, run: Run, batch: Mapping[str, Tensor], moment: Moment) -> Iterator[Part]:
        answers = run[CLASSIFIER](batch["vectors"])
        loss = cross_entropy(answers.float(), batch["labels"], label_smoothing=_SMOOTHING)
        yield Part(CLASSIFIER, loss, {"loss": loss.detach()})

    def after_step(self, moment: Moment) -> None:
        pass

    def validate(self, networks: Networks) -> dict[str, float]:
        """The shares of fresh views that are right at once, and in the first five."""
        places = self.places(networks)
        return {"top 1": top(places, 1), "top 5": top(places, 5)}

    def picture(self, networks: Networks) -> Tensor | None:
        return None

    @torch.no_grad()
    def places(self, networks: Networks) -> list[int]:
        """The place of the right answer for a fresh view of each picture, from 1."""
        answers = networks[CLASSIFIER](self._fresh.float().to(self._device))
        return ranks(answers.float().cpu(), self._labels.tolist())


def classes_of(dataset: Dataset) -> tuple[tuple[str, ...], list[int]]:
    """The classes' names, and each entry's: its label, else its subject, else its first caption. Raises NodeError."""
    if dataset.classes and all(entry.label is not None for entry in dataset.entries):
        names = dataset.classes
        found = [entry.label or 0 for entry in dataset.entries]
    else:
        words = [entry.subject or (entry.captions[0] if entry.captions else "") for entry in dataset.entries]
        names = tuple(sorted(set(words)))
        place = {name: number for number, name in enumerate(names)}
        found = [place[word] for word in words]
    if len(set(found)) < 2:
        raise NodeError(
            "A classifier needs pictures of two classes at least.",
            socket="data",
            got=f"{len(dataset.entries)} pictures, all {names[found[0]]!r}" if found and names[found[0]] else "no names",
            hint="Give labels or subjects with the captions.",
        )
    return names, found


def views_of(
    dataset: Dataset, trunk: Extractor, views: int, seed: int, folder: Path, progress: Callable[[int, int], None]
) -> Tensor:
    """Vectors of worn views of all pictures, [views, N, D] float16. What is done lies in the folder, and is not done again."""
    place = bucket_of(dataset)
    total, found = views * len(dataset.entries), []
    with Reader(dataset, seed=seed) as reader:
        for view in range(views):
            file = folder / f"view-{view}.safetensors"
            if not file.exists():
                parts = []
                for first in range(0, len(dataset.entries), _BATCH):
                    chosen = range(first, min(first + _BATCH, len(dataset.entries)))
                    pictures = [_view(reader, Pick(entry, view, int(place[entry])), seed) for entry in chosen]
                    parts.append(trunk.features(pictures).half())
                    progress(view * len(dataset.entries) + chosen.stop, total)
                write_tensors(file, {"vectors": torch.cat(parts)})
            found.append(_read(file))
    return torch.stack(found)


def _view(reader: Reader, pick: Pick, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(((seed * 1_000_003 + pick.entry) * 1009 + pick.draw) % 2**63)
    return worn(reader.read(pick).pixels.float() / 255, random)


def _read(file: Path) -> Tensor:
    from safetensors.torch import load_file

    vectors: Tensor = load_file(file)["vectors"]
    return vectors
