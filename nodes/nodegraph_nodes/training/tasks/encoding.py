"""Encoding the pictures of a data set, before a training begins: in parts, each kept on disk, as this may take hours."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nodegraph import Context, NodeError
from nodegraph_nodes.diffusion.families import LoadedAutoencoder
from nodegraph_nodes.training.data import PLAIN, Example, Pick, Reader, UnreadablePicture, bucket_of
from nodegraph_nodes.training.loop import write_tensors
from nodegraph_nodes.types import Dataset

from .examples import UNLABELLED, seed_of
from .further import Further

_AT_ONCE, _PART = 16, 4096  # examples
_LIMIT = 5.0  # standard deviations: outliers of latents are cut there


class Encoded(NamedTuple):
    """Examples of one size: latents [N, C, h, w] and further [N, C', h', w'] float16, labels [N], and a caption of each."""

    latents: Tensor
    labels: Tensor
    further: Tensor | None
    captions: tuple[str, ...]


class Encoding(NamedTuple):
    """How pictures are encoded. variants: of each picture; 0: each as it is, once."""

    autoencoder: LoadedAutoencoder
    further: Further | None
    variants: int
    seed: int


def encoded(context: Context, name: str, dataset: Dataset, encoding: Encoding) -> dict[int, Encoded]:
    """All examples, by size. Parts that were encoded before are read from files of this name in the training's folder.

    Raises Cancelled; NodeError if no picture of a size can be read.
    """
    place, found = bucket_of(dataset), dict[int, Encoded]()
    draws = range(encoding.variants) if encoding.variants else (PLAIN,)
    total, done = len(dataset.entries) * len(draws), 0
    context.progress(0, total)
    with Reader(dataset, seed=encoding.seed) as reader, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for size in sorted(set(place.tolist())):
            picks = [Pick(int(entry), draw, size) for entry in (place == size).nonzero()[0] for draw in draws]
            parts: list[Encoded] = []
            for number, first in enumerate(range(0, len(picks), _PART)):
                some, file = picks[first : first + _PART], _part_file(context, name, size, number)
                part = _read(file)
                if part is None:
                    part = _part(context, reader, pool, some, encoding, done, total)
                    if total > _PART:
                        _write(context, file, part)
                parts.append(part)
                done += len(some)
            found[size] = _joined(parts)
    return found


def forget_parts(context: Context, name: str) -> None:
    """Remove what was kept in parts, when the whole is."""
    for file in context.scratch.glob(f"{name}-part-*.safetensors"):
        file.unlink(missing_ok=True)


@torch.no_grad()
def normal_latents(autoencoder: LoadedAutoencoder, pixels: Tensor) -> Tensor:
    """Normalised latents [B, C, h, w] of pixels [B, H, W, 3], 0..1, without outliers."""
    return autoencoder.encode(pixels).clamp(-_LIMIT, _LIMIT)


@torch.no_grad()
def _part(
    context: Context, reader: Reader, pool: Executor, picks: Sequence[Pick], encoding: Encoding, done: int, total: int
) -> Encoded:
    parts: list[Encoded] = []
    for first in range(0, len(picks), _AT_ONCE):
        context.check_cancelled()
        some = picks[first : first + _AT_ONCE]
        examples = _examples(context, reader, list(pool.map(partial(_tried, reader), some)), some, picks)
        pixels = torch.stack([example.pixels for example in examples]).float() / 255
        latents, further = normal_latents(encoding.autoencoder, pixels), None
        if encoding.further is not None:
            seeds = [seed_of(pick, encoding.seed) for pick in some]
            further = encoding.further.of(examples, pixels, latents, seeds).half().cpu()
        labels = torch.tensor([UNLABELLED if example.label is None else example.label for example in examples])
        parts.append(Encoded(latents.half().cpu(), labels, further, tuple(example.caption for example in examples)))
        context.progress(done + first + len(some), total)
    return _joined(parts)


def _examples(
    context: Context, reader: Reader, read: Sequence[Example | None], picks: Sequence[Pick], others: Sequence[Pick]
) -> list[Example]:
    """What was read; in place of what cannot be, another one of the same size."""
    if None not in read:
        return [example for example in read if example is not None]
    names = ", ".join(sorted({reader.dataset.entries[p.entry].file for p, e in zip(picks, read, strict=True) if e is None})[:3])
    context.log.warning("Pictures that cannot be read are left out: %s.", names)
    spare = next((example for example in read if example is not None), None)
    spare = spare or next(filter(None, (_tried(reader, pick) for pick in others)), None)
    if spare is None:
        raise NodeError("The pictures cannot be read.", socket="data", got=names)
    return [example or spare for example in read]


def _tried(reader: Reader, pick: Pick) -> Example | None:
    try:
        return reader.read(pick)
    except UnreadablePicture:
        return None


def _joined(parts: Sequence[Encoded]) -> Encoded:
    further = [part.further for part in parts if part.further is not None]
    return Encoded(
        torch.cat([part.latents for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat(further) if further else None,
        tuple(caption for part in parts for caption in part.captions),
    )


def as_bytes(said: Any) -> Tensor:
    """JSON as a tensor, for a file of tensors."""
    return torch.frombuffer(bytearray(json.dumps(said).encode()), dtype=torch.uint8)


def from_bytes(tensor: Tensor) -> Any:
    """What `as_bytes` wrote."""
    return json.loads(tensor.numpy().tobytes())


def _part_file(context: Context, name: str, size: int, number: int) -> Path:
    return context.scratch / f"{name}-part-{size}-{number}.safetensors"


def _write(context: Context, file: Path, part: Encoded) -> None:
    tensors = {"latents": part.latents, "labels": part.labels, "captions": as_bytes(part.captions)}
    try:
        write_tensors(file, tensors if part.further is None else {**tensors, "further": part.further})
    except OSError as error:
        context.log.warning("What was encoded so far cannot be kept on disk (%s).", error)


def _read(file: Path) -> Encoded | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
        return Encoded(tensors["latents"], tensors["labels"], tensors.get("further"), tuple(from_bytes(tensors["captions"])))
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
