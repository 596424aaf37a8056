"""Pictures as a denoiser's training sees them: encoded once, with so many variants of each, and kept.

In memory, and in a file that a training which goes on after an interruption finds again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from nodegraph import Context
from nodegraph_nodes.diffusion.families import LoadedAutoencoder, LoadedTextEncoder
from nodegraph_nodes.training.data import Pick, bucket_of, sizes
from nodegraph_nodes.training.loop import Share, write_tensors
from nodegraph_nodes.types import Dataset

from .captions import Captions, encode_captions
from .encoding import Encoded, Encoding, as_bytes, encoded, forget_parts, from_bytes
from .examples import Batch
from .further import Further


class Row(NamedTuple):
    """One example of a stock. size: index in `sizes(dataset)`; place: among the latents of that size."""

    size: int
    place: int


class Kept(NamedTuple):
    """Examples of one size: latents [N, C, h, w] float16, captions [N], labels [N], further [N, C', h', w'] float16 or None."""

    latents: Tensor
    captions: Tensor
    labels: Tensor
    further: Tensor | None

    def take(self, places: Tensor, book: Captions | None, device: torch.device) -> Batch:
        """The examples at these places, on a device."""
        places = places.to(self.latents.device)
        further = None if self.further is None else self.further[places].to(device).float()
        latents = self.latents[places].to(device).float()
        return Batch(latents, self.captions[places], self.labels[places], further, book)

    def to(self, device: torch.device) -> Kept:
        return Kept(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self if part is not None)


class Places:
    """Where the examples of each picture lie in a stock, apart from it: small enough for every process that reads."""

    def __init__(self, dataset: Dataset, variants: int) -> None:
        self._variants, size_of = variants, bucket_of(dataset)
        self._first = torch.zeros(len(dataset.entries), dtype=torch.long)
        for size in set(size_of.tolist()):
            members = torch.from_numpy((size_of == size).nonzero()[0])
            self._first[members] = torch.arange(len(members)) * variants

    def __call__(self, pick: Pick) -> Row:
        """Where the example of a pick lies: draws beyond the variants begin anew."""
        return Row(pick.bucket, int(self._first[pick.entry]) + max(0, pick.draw) % self._variants)


class Stock:
    """Encoded examples by size; read: which of them is whose."""

    def __init__(self, places: Places, kept: Mapping[int, Kept], captions: Captions | None) -> None:
        self.read, self.collate = places, collated
        self.kept, self.captions = kept, captions

    def take(self, collated: Mapping[str, Tensor], device: torch.device) -> Batch:
        return self.kept[int(collated["size"])].take(collated["places"], self.captions, device)

    def batches(self, count: int, device: torch.device) -> Iterator[Batch]:
        """All of it, at most `count` at once."""
        for kept in self.kept.values():
            for first in range(0, len(kept.latents), count):
                yield kept.take(torch.arange(first, min(first + count, len(kept.latents))), self.captions, device)

    def to(self, device: torch.device) -> Stock:
        """The stock on a device, if it is small enough to lie there throughout."""
        if device.type != "cuda" or self.nbytes > torch.cuda.mem_get_info(device)[0] // 4:
            return self
        self.kept = {size: kept.to(device) for size, kept in self.kept.items()}
        self.captions = None if self.captions is None else self.captions.to(device)
        return self

    @property
    def nbytes(self) -> int:
        return sum(kept.nbytes for kept in self.kept.values()) + (0 if self.captions is None else self.captions.nbytes)


def collated(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Where the examples of a batch lie; they are all of one size."""
    return {"size": torch.tensor(rows[0].size), "places": torch.tensor([row.place for row in rows])}


def stock_of(
    context: Context,
    name: str,
    dataset: Dataset,
    variants: int,
    autoencoder: LoadedAutoencoder,
    encoder: LoadedTextEncoder | None,
    seed: int,
    share: Share,
    further: Further | None = None,
    extra: Sequence[str] = (),
) -> Stock:
    """Encode a data set, or read what was encoded before from the file `name` in the training's folder.

    variants: of each picture; 0: each as it is, once. extra: further texts. Of several processes the first one encodes. Raises
    Cancelled; NodeError if no picture can be read.
    """
    file = context.scratch / f"{name}.safetensors"

    def found_or_made() -> Stock:
        found = _read(file, dataset, max(1, variants))
        if found is None:
            pictures = encoded(context, name, dataset, Encoding(autoencoder, further, variants, seed))
            found = Stock(Places(dataset, max(1, variants)), *_with_captions(context, pictures, encoder, extra))
            if share.is_first:
                _keep(context, file, found)
        return found

    return share.first_then_others(found_or_made)


def _with_captions(
    context: Context, pictures: Mapping[int, Encoded], encoder: LoadedTextEncoder | None, extra: Sequence[str]
) -> tuple[dict[int, Kept], Captions | None]:
    """Encoded pictures, and their captions encoded, if they are to be told."""
    captions = None
    if encoder is not None:
        texts = {caption for each in pictures.values() for caption in each.captions}
        context.log.info("%d different captions are encoded.", len(texts))

        def on(count: int) -> None:
            context.check_cancelled()

        captions = encode_captions(encoder, texts | set(extra), on)
    kept = {}
    for size, each in pictures.items():
        numbers = [0 if captions is None else captions.number[caption] for caption in each.captions]
        kept[size] = Kept(each.latents, torch.tensor(numbers), each.labels, each.further)
    return kept, captions


def _keep(context: Context, file: Path, stock: Stock) -> None:
    try:
        _write(file, stock)
    except OSError as error:
        context.log.warning("What was encoded cannot be kept on disk (%s); the training goes on.", error)
    else:
        forget_parts(context, file.stem)


def _write(file: Path, stock: Stock) -> None:
    tensors: dict[str, Tensor] = {}
    for size, kept in stock.kept.items():
        tensors |= {f"{size}.{name}": part for name, part in kept._asdict().items() if part is not None}
    if (captions := stock.captions) is not None:
        tensors |= {"text.tokens": captions.tokens, "text.ends": captions.ends, "text.length": torch.tensor(captions.length)}
        tensors["text.texts"] = as_bytes(captions.texts)
        if captions.pooled is not None:
            tensors["text.pooled"] = captions.pooled
    write_tensors(file, tensors)


def _read(file: Path, dataset: Dataset, variants: int) -> Stock | None:
    """What was kept, or None where there is nothing that can be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
    except (OSError, SafetensorError):
        return None
    kept = {
        size: Kept(
            tensors[f"{size}.latents"], tensors[f"{size}.captions"], tensors[f"{size}.labels"], tensors.get(f"{size}.further")
        )
        for size in range(len(sizes(dataset)))
        if f"{size}.latents" in tensors
    }
    captions = None
    if "text.tokens" in tensors:
        captions = Captions(
            from_bytes(tensors["text.texts"]),
            tensors["text.tokens"],
            tensors["text.ends"],
            tensors.get("text.pooled"),
            int(tensors["text.length"]),
        )
    return Stock(Places(dataset, variants), kept, captions)
