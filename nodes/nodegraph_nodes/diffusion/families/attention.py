"""What works inside a U-Net's cross-attention: prompts that count at places (regions), and pictures read beside the prompt.

Every item of a batch has readings. All of one kind are attended to in one go, each with its own item's queries; the results
are added up by weight and mask before the layer's last projection. While nothing steers, the network is left as it was.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

from .loaded import Hints, LoadedImageAdapter, Reading
from .lora import given


def normalised(shares: Tensor) -> Tensor:
    """Shares [N, ...] of N things as parts of 1 at each place; where nothing counts, all count alike.

    What counts less than nothing (a prompt with a negative weight) is left out: there is nothing to lead away from.
    """
    shares = shares.clamp_min(0)
    total = shares.sum(0)
    return torch.where(total > 1e-6, shares / total.clamp_min(1e-6), 1 / shares.shape[0])


def share_at(mask: Tensor | None, weight: float, size: tuple[int, int], like: Tensor) -> Tensor:
    """weight x mask at another size: [h, w], each place the mean of what it covers."""
    if mask is None:
        return like.new_full(size, weight)
    return weight * interpolate(mask[None, None].to(like), size, mode="area")[0, 0]


def cross_attentions(unet: nn.Module) -> tuple[Any, ...]:
    """A U-Net's cross-attentions, in the order in which IP-Adapters number them: down, up, middle."""
    return tuple(module for name, module in unet.named_modules() if name.endswith("attn2"))


def misfit(layers: Sequence[Any], adapter: LoadedImageAdapter) -> str | None:
    """Why an adapter does not fit a network with these cross-attentions, in words; None if it does."""
    wanted = tuple((layer.cross_attention_dim, layer.inner_kv_dim) for layer in layers)
    if adapter.widths == wanted:
        return None
    if len(adapter.widths) != len(wanted):
        return f"the adapter is for {len(adapter.widths)} cross-attentions, and this model has {len(wanted)}"
    layer = next(i for i, pair in enumerate(wanted) if adapter.widths[i] != pair)
    return "the adapter's cross-attention {} is {} x {}, and this model's {} x {}".format(
        layer + 1, *adapter.widths[layer], *wanted[layer]
    )


def steered(layers: Sequence[Any], hints: Hints | None, states: Tensor, x: Tensor) -> AbstractContextManager[None]:
    """While this is open, a network's cross-attentions read what the hints say.

    states: [B, L, D], the items' own prompts, as the network is given them; x: [B, C, h, w], for the size at which it works.
    """
    if hints is None or not any(hints.readings):
        return nullcontext()
    return _processors(layers, _Plan(hints.readings, states, (x.shape[2], x.shape[3])))


@contextmanager
def _processors(layers: Sequence[Any], plan: "_Plan") -> Iterator[None]:
    """Other attention processors for as long as a call lasts; one that is put on for good would cost every other call."""
    ordinary = [layer.processor for layer in layers]
    try:
        for number, layer in enumerate(layers):
            layer.processor = _Processor(plan, number)
        yield
    finally:
        for layer, processor in zip(layers, ordinary, strict=True):
            layer.processor = processor


class _Group:
    """Readings of one kind. rows: whose queries read them; tokens: [K, L, D]; numbers: which of the plan's they are."""

    def __init__(self, adapter: LoadedImageAdapter | None, rows: list[int], tokens: list[Tensor], numbers: list[int]) -> None:
        self.adapter, self.rows, self.tokens, self.numbers = adapter, rows, torch.stack(tokens), numbers
        self.index = torch.tensor(rows, device=self.tokens.device)


class _Plan:
    """What is read in one call of a network, sorted so that each kind takes one attention per layer."""

    def __init__(self, readings: Sequence[Sequence[Reading]], states: Tensor, size: tuple[int, int]) -> None:
        self._all: list[tuple[int, Reading]] = []  # (row, reading), a row's prompts before its pictures
        self._states, self._shares = states, dict[int, Tensor]()
        prompted = any(reading.adapter is None for row in readings for reading in row)
        self.own = not prompted  # every row reads its own prompt, as the network does by itself
        for row, several in enumerate(readings):
            prompts = [reading for reading in several if reading.adapter is None]
            if prompted:
                self._all += [(row, reading) for reading in prompts or [Reading(states[row])]]
            self._all += [(row, reading) for reading in several if reading.adapter is not None]
        kinds: dict[Hashable, list[int]] = {}
        for number, (_, reading) in enumerate(self._all):
            kinds.setdefault((id(reading.adapter), reading.tokens.shape), []).append(number)
        self.groups = [self._group(numbers) for numbers in kinds.values()]
        self._sizes = {size[0] * size[1]: size}
        while size != (1, 1):  # a level of a U-Net has half of the size above, rounded up
            size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
            self._sizes.setdefault(size[0] * size[1], size)

    def _group(self, numbers: list[int]) -> _Group:
        rows = [self._all[number][0] for number in numbers]
        several = [self._all[number][1] for number in numbers]
        return _Group(several[0].adapter, rows, [reading.tokens.to(self._states) for reading in several], numbers)

    def shares(self, group: _Group, places: int) -> Tensor:
        """How much each reading of a group counts at each of a layer's places: [K, places, 1]."""
        if places not in self._shares:
            self._shares[places] = self._shares_of_all(self._sizes[places])
        return self._shares[places][group.numbers]

    def _shares_of_all(self, size: tuple[int, int]) -> Tensor:
        like = self._states.float()
        shares = torch.stack([share_at(reading.mask, reading.weight, size, like) for _, reading in self._all])
        rows = [row if reading.adapter is None else None for row, reading in self._all]
        for row in {row for row in rows if row is not None}:  # a row's prompts share its places; pictures come on top
            own = [number for number, other in enumerate(rows) if other == row]
            shares[own] = normalised(shares[own])
        return shares.flatten(1)[..., None].to(self._states)


class _Processor:
    """Cross-attention number `layer` of a diffusers U-Net, by a plan."""

    def __init__(self, plan: _Plan, layer: int) -> None:
        self._plan, self._layer = plan, layer

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **unused: Any) -> Tensor:
        """hidden_states: [B, places, C]; encoder_hidden_states: [B, L, D] -> [B, places, C]"""
        query = attn.to_q(hidden_states)
        if self._plan.own:
            read = _attend(query, attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states), attn.heads)
        else:
            read = torch.zeros_like(query)
        for group in self._plan.groups:
            if group.adapter is None:
                with given(attn.to_k, group.rows):
                    keys = attn.to_k(group.tokens)
                with given(attn.to_v, group.rows):
                    values = attn.to_v(group.tokens)
            else:
                keys, values = group.adapter.keys_and_values(self._layer, group.tokens)
            parts = _attend(query[group.index], keys.to(query), values.to(query), attn.heads)
            parts = parts * self._plan.shares(group, query.shape[1])
            for row, part in zip(group.rows, parts, strict=True):  # in order: index_add_ is not reproducible on GPUs
                read[row] += part
        return attn.to_out[1](attn.to_out[0](read))  # type: ignore[no-any-return]


def _attend(query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Attention of [K, N, C] over [K, L, C], in heads: [K, N, C]."""
    q, k, v = (t.reshape(*t.shape[:2], heads, -1).transpose(1, 2) for t in (query, keys, values))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
