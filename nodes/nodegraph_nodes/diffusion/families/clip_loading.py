"""CLIP towers from disk: how a model stores one is a plan, whether in a folder of its own or among a single file's tensors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from . import ldm_names
from .assemble import fill, skeleton
from .clip import ClipTower
from .clip_tokenizer import clip_tokenizer
from .source import ModelSource, read_header, read_tensors

WEIGHTS = ("model.safetensors", "model.fp16.safetensors")
_PROJECTION = "text_projection.weight"


@dataclass(frozen=True, slots=True)
class TowerPlan:
    """Where a tower lies and how it is read.

    title: in messages. prefixes: those that its tensors can have in a single file, where openclip tells whose names they
    have. folder, tokenizer: its folders in a diffusers layout. omitted, normed, pools: see ClipTower; projected: its pooled
    state is projected. pad: the token that fills prompts up, where the model brings no tokenizer.
    """

    title: str
    prefixes: tuple[str, ...]
    folder: str = "text_encoder"
    tokenizer: str = "tokenizer"
    openclip: bool = False
    omitted: int = 0
    normed: bool = True
    pools: bool = False
    projected: bool = False
    pad: str = "<|endoftext|>"

    @property
    def network(self) -> str:
        """What messages call it."""
        return f"text encoder ({self.title})"


def load_tower(source: ModelSource, plan: TowerPlan, config: Mapping[str, Any], path: str, dtype: torch.dtype) -> ClipTower:
    """A tower by its plan. config: transformers' CLIPTextConfig as JSON. path: what errors name. Raises ModelError."""
    from transformers import CLIPTextConfig, CLIPTextModel

    parsed = CLIPTextConfig(**config)
    model = skeleton(lambda: CLIPTextModel(parsed))
    projection = skeleton(lambda: nn.Linear(parsed.hidden_size, parsed.projection_dim, bias=False)) if plan.projected else None
    tensors = _read(source, plan, [*model.state_dict(), *([_PROJECTION] if plan.projected else [])])
    model = fill(model, tensors, path, plan.network, dtype)
    if projection is not None:
        projection = fill(_Named(projection), tensors, path, plan.network, dtype).text_projection
    tokenizer = _tokenizer(source, plan, parsed.max_position_embeddings)
    return ClipTower(model, tokenizer, projection, omitted=plan.omitted, normed=plan.normed, pools=plan.pools)


class _Named(nn.Module):
    """A projection under the name that files give it."""

    def __init__(self, projection: nn.Linear) -> None:
        super().__init__()
        self.text_projection = projection


def prefix_of(plan: TowerPlan, stored: Iterable[str]) -> str | None:
    """The prefix that a single file's tensors of this tower have, or None where it has no such tower."""
    return next((prefix for prefix in plan.prefixes if any(name.startswith(prefix) for name in stored)), None)


def landmark(plan: TowerPlan, stored: Mapping[str, Any]) -> str:
    """The name of the tower's token table [vocabulary, D] in a single file."""
    return _stored_names(plan, ["embeddings.token_embedding.weight"], stored)[0]


def _stored_names(plan: TowerPlan, names: Sequence[str], stored: Mapping[str, Any]) -> list[str]:
    """Names in a single file, from transformers'."""
    prefix = prefix_of(plan, stored) or plan.prefixes[0]
    if plan.openclip:
        return [ldm_names.openclip_name(name, prefix) for name in names]
    prefix = ldm_names.clip_prefix(stored, prefix)
    return [prefix + name for name in names]


def _read(source: ModelSource, plan: TowerPlan, names: Sequence[str]) -> dict[str, Tensor]:
    """The tower's tensors under transformers' names."""
    if source.is_folder:
        return {name.removeprefix("text_model."): tensor for name, tensor in source.read(plan.folder, *WEIGHTS).items()}
    stored = dict(zip(names, _stored_names(plan, names, read_header(source.path)), strict=True))
    tensors = read_tensors(source.path, stored, network=plan.network)
    return {name: ldm_names.from_openclip(name, t) for name, t in tensors.items()} if plan.openclip else tensors


def _tokenizer(source: ModelSource, plan: TowerPlan, length: int) -> Any:
    """The model's own tokenizer where it brings one, else CLIP's."""
    folder = (source.path if source.is_folder else source.path.with_suffix(".config")) / plan.tokenizer
    if not folder.is_dir():
        return clip_tokenizer(length, plan.pad)
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder, local_files_only=True, model_max_length=length)
