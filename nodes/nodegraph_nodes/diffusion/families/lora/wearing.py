"""Putting LoRAs on a network and taking them off again.

A constant weight is merged: W' = W + sum of w (alpha / r) up down, in float32, from W as it is in the file; what nothing
changes any more becomes the file's again, so nothing is ever subtracted. Where the weight varies over the run, or the layer's
own is packed, the layer is left alone and the change of its output is added each time.
"""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from nodegraph import curve_at
from nodegraph_nodes.diffusion.families.errors import ModelError
from nodegraph_nodes.diffusion.families.loaded import Hints, Prompts
from nodegraph_nodes.diffusion.families.storage import is_stored
from nodegraph_nodes.types import Lora

from .changes import Change, change_of
from .describing import matching
from .reading import LoraFile, read_lora
from .targets import Index, Target

Curve = tuple[tuple[float, float], ...]
_CHILD = "unmerged_lora"


@dataclass(slots=True)
class Progress:
    """How far the rows of the batch are that a network is at work on; None outside of a run."""

    rows: tuple[float, ...] | None = None

    @contextmanager
    def only(self, items: Sequence[int]) -> Iterator[None]:
        """While a layer is given one row for each of these items of the batch, in this order, instead of all of them."""
        rows = self.rows
        self.rows = None if rows is None else tuple(rows[item] for item in items)
        try:
            yield
        finally:
            self.rows = rows


@dataclass(slots=True)
class Worn:
    """What a network has on. merged, added: by module and layer, what its change was made from."""

    index: Index
    patches: tuple[Lora, ...] = ()
    progress: Progress = field(default_factory=Progress)
    files: dict[str, LoraFile] = field(default_factory=dict)
    merged: dict[tuple[int, str], tuple[Any, ...]] = field(default_factory=dict)
    added: dict[tuple[int, str], tuple[Any, ...]] = field(default_factory=dict)
    targets: dict[tuple[int, str], Target] = field(default_factory=dict)


@dataclass(slots=True)
class _Wish:
    """What is to be on a layer. key: what tells whether it is on already."""

    changes: list[tuple[Change, float, Curve]] = field(default_factory=list)
    key: tuple[Any, ...] = ()


def wear(network: Any, patches: Sequence[Lora], index_of: Any) -> None:
    """Let a network have these LoRAs on and no others. index_of: network -> its layers by name.

    Layers whose changes stay the same are not touched. Raises ModelError, before anything is changed.
    """
    worn: Worn | None = getattr(network, "worn", None)
    if worn is None:
        if not patches:
            return
        worn = network.worn = Worn(index_of(network))
    if tuple(patches) == worn.patches:
        return
    files = {lora.digest: worn.files.get(lora.digest) or read_lora(lora.path) for lora in patches}
    merged, added = _wishes(worn, patches, files)
    worn.files, worn.patches = files, tuple(patches)
    for key in list(worn.merged.keys() - merged.keys()):
        _restore(worn.targets[key])
        del worn.merged[key]
    for key, wish in merged.items():
        if worn.merged.get(key) != wish.key:
            _merge(worn.targets[key], wish)
            worn.merged[key] = wish.key
    for key in list(worn.added):
        if key not in added or added[key].key != worn.added[key]:
            _take_off(worn.targets[key])
            del worn.added[key]
    for key, wish in added.items():
        if key not in worn.added:
            _add(worn.targets[key], wish, worn.progress)
            worn.added[key] = wish.key
    _follow(network, worn.progress if any(curve for wish in added.values() for _, _, curve in wish.changes) else None)


def _wishes(
    worn: Worn, patches: Sequence[Lora], files: dict[str, LoraFile]
) -> tuple[dict[tuple[int, str], _Wish], dict[tuple[int, str], _Wish]]:
    """By layer, what is to be merged and what is to be added at each use."""
    merged: dict[tuple[int, str], _Wish] = {}
    added: dict[tuple[int, str], _Wish] = {}
    for lora in patches:
        file, found = files[lora.digest], 0
        for layer in file.layers:
            for target in matching(file, layer, worn.index):
                found += 1
                if lora.weight == 0:
                    continue
                place = (id(target.module), target.layer)
                worn.targets[place] = target
                change = change_of(file, layer, target.rows, target.swapped)
                unmerged = bool(lora.curve) or is_stored(target.module.get_submodule(target.layer))
                if unmerged and change.is_dora:
                    why = "whose weights are packed" if not lora.curve else "by a weight that varies"
                    raise ModelError(lora.path, f"a DoRA cannot be put on {why}; use one weight and storage 'as_stored'.")
                wish = (added if unmerged else merged).setdefault(place, _Wish())
                wish.changes.append((change, lora.weight, lora.curve))
                wish.key = (*wish.key, (lora.digest, layer.layer, lora.weight, lora.curve))
        if not found:
            raise ModelError(lora.path, "nothing in this LoRA fits the network; it was made for another kind of model.")
    return merged, added


# ---- merged ----


@torch.no_grad()
def _merge(target: Target, wish: _Wish) -> None:
    parameter: Any = target.module.get_submodule(target.layer).weight
    weight: Tensor = _original(target).to(parameter.device).float()
    for change, amount, _ in wish.changes:
        weight = change.onto(weight, amount)
    parameter.data = torch.empty_like(parameter.data).copy_(weight)


@torch.no_grad()
def _restore(target: Target) -> None:
    """The weight becomes the file's own again; where it can, it is the file mapped into memory, as it was after loading."""
    parameter: Any = target.module.get_submodule(target.layer).weight
    original = _original(target).to(parameter.device)
    if original.stride() == parameter.data.stride():
        parameter.data = original
    else:
        parameter.data = torch.empty_like(parameter.data).copy_(original)


def _original(target: Target) -> Tensor:
    found: Tensor = target.module.originals.weight(f"{target.layer}.weight")  # type: ignore[operator, union-attr]
    return found


# ---- added ----


def given(layer: nn.Module, items: Sequence[int]) -> AbstractContextManager[None]:
    """While this is open, a layer is given one row for each of these items of the batch, which may repeat.

    What a LoRA adds there by a weight that varies is then that of these items' progress.
    """
    unmerged = layer._modules.get(_CHILD)
    return unmerged.progress.only(items) if isinstance(unmerged, _Unmerged) else nullcontext()


class _Term(nn.Module):
    """One change of a layer's output. Either down, core and up, or the whole matrix."""

    down: Tensor | None
    core: Tensor | None
    up: Tensor

    def __init__(self, change: Change, amount: float, curve: Curve, layer: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        weight: Any = layer.weight
        self.amount, self.curve = amount, curve
        parts = change.low_rank(isinstance(layer, nn.Conv2d)) or (None, None, change.matrix(shape))
        for name, part in zip(("down", "core", "up"), parts, strict=True):
            self.register_buffer(name, None if part is None else part.to(weight), persistent=False)

    def forward(self, layer: Any, x: Tensor) -> Tensor:
        # in a network that is streamed they may lie elsewhere by now
        down, core, up = (None if part is None else part.to(x.device) for part in (self.down, self.core, self.up))
        assert up is not None
        if isinstance(layer, nn.Linear):
            return linear(x if down is None else linear(x, down), up)
        if down is None:
            return layer._conv_forward(x, up, None)  # type: ignore[no-any-return]
        if core is None:  # the layer's own stride, padding and wrapping are the first one's
            return torch.conv2d(layer._conv_forward(x, down, None), up)
        return torch.conv2d(layer._conv_forward(torch.conv2d(x, down), core, None), up)


class _Unmerged(nn.Module):
    """All changes of a layer's output."""

    def __init__(self, terms: Sequence[_Term], progress: Progress) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)
        self.progress = progress
        self.handle: Any = None

    def forward(self, layer: nn.Module, x: Tensor, output: Tensor) -> Tensor:
        for term in self.terms:
            assert isinstance(term, _Term)
            amount = self._amount(term, x)
            if isinstance(amount, Tensor) or amount != 0:
                output = output + amount * term(layer, x)
        return output

    def _amount(self, term: _Term, x: Tensor) -> Tensor | float:
        """A number for all rows, or one a row, [B, 1, ...]. A row may have become several on the way (heads, places)."""
        rows = self.progress.rows or (0.0,)
        amounts = [term.amount * _height(term.curve, progress) for progress in rows]
        if len(set(amounts)) == 1:
            return amounts[0]
        if x.shape[0] % len(rows):
            raise RuntimeError(f"A LoRA whose weight varies met {x.shape[0]} rows in a batch of {len(rows)}.")
        shape = (-1, *[1] * (x.ndim - 1))
        return x.new_tensor(amounts).repeat_interleave(x.shape[0] // len(rows)).reshape(shape)


@lru_cache(maxsize=4096)
def _height(curve: Curve, progress: float) -> float:
    return curve_at(curve, progress) if curve else 1.0


def _add(target: Target, wish: _Wish, progress: Progress) -> None:
    layer = target.module.get_submodule(target.layer)
    terms = [_Term(change, amount, curve, layer, target.shape) for change, amount, curve in wish.changes]
    unmerged = _Unmerged(terms, progress)
    layer.add_module(_CHILD, unmerged)
    unmerged.handle = layer.register_forward_hook(_hook)


def _hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    changed: Tensor = layer._modules[_CHILD](layer, inputs[0], output)  # type: ignore[misc]
    return changed


def _take_off(target: Target) -> None:
    layer = target.module.get_submodule(target.layer)
    unmerged: Any = layer._modules.pop(_CHILD)
    unmerged.handle.remove()


def _follow(network: Any, progress: Progress | None) -> None:
    """Let a denoiser tell how far its rows are, or stop it."""
    vars(network).pop("predict", None)
    if progress is not None and hasattr(type(network), "predict"):
        # a weak reference: a network that held itself would stay in memory after it was let go
        network.predict = partial(_predict, weakref.ref(network), progress)


def _predict(
    network: Any, progress: Progress, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None
) -> Tensor:
    found = network()
    progress.rows = hints.progress if hints is not None else None
    try:
        return type(found).predict(found, x, timesteps, prompts, hints)  # type: ignore[no-any-return]
    finally:
        progress.rows = None
