"""CLIP's text side: one tower, and what one or two of them say of a prompt together.

A tower turns token ids into states; an encoder tokenises, runs its towers and lays their states side by side. Prompts with
weights, learned words or more than one stretch of tokens are built from the same pieces: `token_ids`, `padded`, `embed`,
`encode_ids`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from nodegraph_nodes.types import Conditioning

from .loaded import module_bytes


class Encoded(NamedTuple):
    """states: [B, L, D] float32; pooled: [B, P] float32, or None where a tower gives none."""

    states: Tensor
    pooled: Tensor | None


class ClipTower:
    """One CLIP text transformer with its tokenizer.

    model: transformers' CLIPTextModel (flat: embeddings, encoder.layers, final_layer_norm). projection: of the pooled state,
    or None. omitted: how many of the last layers its states leave out before any clip skip (SDXL: 1). normed: states pass
    through the final layer norm. pools: whether it gives a pooled state: the last layer's, normed, at the first end mark.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        projection: nn.Linear | None = None,
        *,
        omitted: int = 0,
        normed: bool = True,
        pools: bool = False,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.projection = None if projection is None else projection.requires_grad_(False)
        self.tokenizer = tokenizer
        self.omitted, self.normed, self.pools = omitted, normed, pools
        self.length: int = min(tokenizer.model_max_length, model.config.max_position_embeddings)
        self.start: int = tokenizer.bos_token_id
        self.end: int = tokenizer.eos_token_id
        self.pad: int = tokenizer.pad_token_id

    @property
    def width(self) -> int:
        """D, of its states and of its token vectors."""
        return int(self.model.config.hidden_size)

    @property
    def layers(self) -> int:
        return len(self.model.encoder.layers)

    @property
    def nbytes(self) -> int:
        return module_bytes(self.model) + (0 if self.projection is None else module_bytes(self.projection))

    def to(self, device: torch.device | str) -> Self:
        self.model.to(device)
        if self.projection is not None:
            self.projection.to(device)
        return self

    def token_ids(self, text: str) -> list[int]:
        """The text's tokens without marks, however many there are."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def padded(self, tokens: Sequence[int]) -> list[int]:
        """Tokens between the start and end marks, filled up to the tower's length. What does not fit is cut off."""
        ids = [self.start, *tokens[: self.length - 2], self.end]
        return ids + [self.pad] * (self.length - len(ids))

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [B, L] -> the tokens' own vectors [B, L, D], without places; what learned words replace."""
        table: nn.Embedding = self.model.embeddings.token_embedding
        vectors: Tensor = table(ids.to(table.weight.device))
        return vectors

    @torch.no_grad()
    def encode_ids(self, ids: Tensor, skip: int = 0, vectors: Tensor | None = None) -> Encoded:
        """Token ids [B, L], with their marks -> states and pooled state.

        skip: further last layers to leave out (diffusers' clip_skip). vectors: [B, L, D], instead of `embed(ids)`.
        Raises ValueError where no layer would be left.
        """
        kept = self.layers - self.omitted - skip
        if kept < 1 or skip < 0:
            raise ValueError(f"{skip} layers cannot be left out of a text encoder that uses {self.layers - self.omitted}.")
        model = self.model
        vectors = self.embed(ids) if vectors is None else vectors
        x = model.embeddings(inputs_embeds=vectors.to(model.embeddings.token_embedding.weight))
        causal = torch.full((x.shape[1], x.shape[1]), -torch.inf, device=x.device, dtype=x.dtype).triu(1)[None, None]
        states = x
        for number, layer in enumerate(model.encoder.layers, 1):
            if number > kept and not self.pools:
                break
            x = layer(x, causal, is_causal=False)
            states = x if number == kept else states
        states = model.final_layer_norm(states) if self.normed else states
        return Encoded(states.float(), self._pooled(x, ids) if self.pools else None)

    def _pooled(self, x: Tensor, ids: Tensor) -> Tensor:
        ends = (ids.to(x.device) == self.end).int().argmax(1)  # the first: padding may be the same token
        pooled: Tensor = self.model.final_layer_norm(x)[torch.arange(len(x), device=x.device), ends]
        return (pooled if self.projection is None else self.projection(pooled)).float()


class ClipTextEncoder:
    """One tower, or two whose states lie side by side; pooled is the last pooling tower's.

    skip: further last layers left out; words: learned words by name, vectors [n, D] for each tower; both set by `adapt`.
    zeros_for_empty: the empty prompt is all zeros, states and pooled: what
    SDXL was trained to take for "no prompt" (diffusers' force_zeros_for_empty_prompt).
    """

    def __init__(self, family: str, towers: Sequence[ClipTower], *, zeros_for_empty: bool = False) -> None:
        self.family = family
        self.towers = tuple(towers)
        self.zeros_for_empty = zeros_for_empty
        self.skip = 0
        self.words: Mapping[str, tuple[Tensor, ...]] = {}
        self.max_tokens = min(tower.length for tower in self.towers) - 2  # the start and end marks

    @property
    def model(self) -> Any:
        """The first tower's transformer."""
        return self.towers[0].model

    @property
    def nbytes(self) -> int:
        return sum(tower.nbytes for tower in self.towers)

    def to(self, device: torch.device | str) -> Self:
        for tower in self.towers:
            tower.to(device)
        return self

    def count_tokens(self, text: str) -> int:
        return len(self.towers[0].token_ids(text))

    def encode_ids(self, ids: Sequence[Tensor], vectors: Sequence[Tensor | None] | None = None) -> Encoded:
        """Per tower, token ids [B, L] and (see ClipTower.encode_ids) vectors -> states [B, L, sum of D] and pooled [B, P]."""
        given = vectors or [None] * len(self.towers)
        encoded = [
            tower.encode_ids(each, self.skip, instead) for tower, each, instead in zip(self.towers, ids, given, strict=True)
        ]
        pooled = [each.pooled for each in encoded if each.pooled is not None]
        return Encoded(torch.cat([each.states for each in encoded], -1), pooled[-1] if pooled else None)

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text: states [L, sum of D], pooled [P] or None."""
        ids = [torch.tensor([tower.padded(tower.token_ids(text)) for text in texts]) for tower in self.towers]
        encoded = self.encode_ids(ids)
        pooled = [None] * len(texts) if encoded.pooled is None else encoded.pooled
        found = [self._conditioning(*each) for each in zip(encoded.states, pooled, strict=True)]
        return [self.nothing(each) if self.is_nothing(text) else each for text, each in zip(texts, found, strict=True)]

    def is_nothing(self, text: str) -> bool:
        """Whether this prompt stands for "no prompt" (see zeros_for_empty). A single space is a prompt: it is encoded."""
        return self.zeros_for_empty and text == ""

    def nothing(self, like: Conditioning) -> Conditioning:
        """ "No prompt" in the shape of another."""
        return self._conditioning(torch.zeros_like(like.states), None if like.pooled is None else torch.zeros_like(like.pooled))

    def _conditioning(self, states: Tensor, pooled: Tensor | None) -> Conditioning:
        return Conditioning(states.clone(), self.family, None if pooled is None else pooled.clone())
