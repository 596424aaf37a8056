"""The text encoders of the models that join text and picture in one transformer: CLIP's and T5's, for SD 3 and FLUX.1.

T5's vocabulary is not shipped with the pack, so a single file needs a tokenizer folder beside it (see `parts`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from nodegraph_nodes.types import Conditioning

from .assemble import fill, skeleton
from .clip_tokenizer import clip_tokenizer
from .errors import BrokenModel
from .loaded import module_bytes
from .parts import Piece, absent, has_weights, home, part_config, part_tensors, read_pieces
from .source import ModelSource, read_header

CLIP_L_PREFIX = "text_encoders.clip_l.transformer."
CLIP_G_PREFIX = "text_encoders.clip_g.transformer."
T5_PREFIX = "text_encoders.t5xxl.transformer."

_CLIP: dict[str, Any] = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 49407,
}
CLIP_L: dict[str, Any] = _CLIP | {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
CLIP_G: dict[str, Any] = _CLIP | {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
T5_XXL: dict[str, Any] = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}


class Encoder(NamedTuple):
    """A text network and its tokenizer."""

    model: Any
    tokenizer: Any

    def ids(self, texts: Sequence[str], length: int) -> Tensor:
        """Token ids [B, length], cut or padded."""
        batch = self.tokenizer(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        ids: Tensor = batch["input_ids"]
        return ids.to(next(self.model.parameters()).device)

    def count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def load_clip(
    source: ModelSource, number: str, prefix: str, shipped: dict[str, Any], dtype: torch.dtype, *, projected: bool
) -> Encoder:
    """A CLIP text encoder: from `text_encoder<number>/`, or from under `prefix` in a single file.

    projected: with the projection of its pooled state, which single files may leave out for CLIP-L (it is the identity then).
    Raises BrokenModel.
    """
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    part = f"text_encoder{number}"
    config = CLIPTextConfig(**part_config(source, f"{part}/config.json", shipped.copy))
    model = skeleton(lambda: (CLIPTextModelWithProjection if projected else CLIPTextModel)(config))
    if has_weights(source, part):
        stored = part_tensors(source, part)
    else:
        stored = _under(source, prefix)
        if not stored:
            raise absent(source, "CLIP text encoder", part)
    stored = {name.removeprefix("text_model."): tensor for name, tensor in stored.items()}
    if projected and "text_projection.weight" not in stored:
        stored["text_projection.weight"] = torch.eye(config.hidden_size)
    tensors = {n: stored[plain] for n in model.state_dict() if (plain := n.removeprefix("text_model.")) in stored}
    model = fill(model, tensors, str(source.path), part, dtype).eval().requires_grad_(False)
    return Encoder(model, _clip_tokenizer(source, f"tokenizer{number}", config.max_position_embeddings, bool(number)))


def _clip_tokenizer(source: ModelSource, part: str, length: int, padded_with_zero: bool) -> Any:
    """The model's own where it brings one, else CLIP's; OpenCLIP's bigG was trained with id 0 ("!") as padding."""
    folder = home(source) / part
    if folder.is_dir():
        from transformers import CLIPTokenizer

        return CLIPTokenizer.from_pretrained(folder, local_files_only=True, model_max_length=length)
    tokenizer = clip_tokenizer(length)
    if padded_with_zero:
        tokenizer.pad_token = "!"
    return tokenizer


def load_t5(source: ModelSource, number: str, dtype: torch.dtype) -> Encoder | None:
    """T5's encoder: from `text_encoder<number>/`, or from a single file. None where the model has none. Raises BrokenModel."""
    from transformers import T5Config, T5EncoderModel

    part, vocabulary = f"text_encoder{number}", f"tokenizer{number}"
    stored = part_tensors(source, part) if has_weights(source, part) else _under(source, T5_PREFIX)
    if not stored:
        return None
    if not (home(source) / vocabulary).is_dir():
        raise absent(source, "vocabulary for its T5 text encoder", vocabulary)
    config = T5Config(**part_config(source, f"{part}/config.json", T5_XXL.copy))
    model = skeleton(lambda: T5EncoderModel(config))
    words = "shared.weight", "encoder.embed_tokens.weight"  # one tensor, stored under either name or both
    shared = next((stored[name] for name in words if name in stored), None)
    if shared is not None:
        stored |= dict.fromkeys(words, shared)
    model = fill(model, stored, str(source.path), part, dtype)
    model.encoder.set_input_embeddings(model.shared)
    if dtype == torch.float16:  # overflows there
        for block in model.encoder.block:
            block.layer[-1].DenseReluDense.wo.float()
    return Encoder(model.eval().requires_grad_(False), _t5_tokenizer(source, vocabulary))


def _t5_tokenizer(source: ModelSource, part: str) -> Any:
    from transformers import T5Tokenizer

    try:
        return T5Tokenizer.from_pretrained(home(source) / part, local_files_only=True)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise BrokenModel(
            str(source.path), f"the vocabulary in {part}/ cannot be read ({error}); it needs T5's tokenizer.json."
        ) from error


def _under(source: ModelSource, prefix: str) -> dict[str, Tensor]:
    """A single file's tensors under a prefix, without it."""
    if source.is_folder:
        return {}
    names = {name.removeprefix(prefix): Piece(name) for name in read_header(source.path) if name.startswith(prefix)}
    return read_pieces(source.path, names) if names else {}


class JointTextEncoder:
    """What SD 3 and FLUX.1 have in common: networks side by side that read the same text."""

    def __init__(self, family: str, encoders: Sequence[Encoder], counted: Encoder, max_tokens: int) -> None:
        self.family = family
        self.max_tokens = max_tokens
        self._encoders = tuple(encoders)
        self._counted = counted

    @property
    def nbytes(self) -> int:
        return sum(module_bytes(encoder.model) for encoder in self._encoders)

    def to(self, device: torch.device | str) -> Self:
        for encoder in self._encoders:
            encoder.model.to(device)
        return self

    def count_tokens(self, text: str) -> int:
        return self._counted.count(text)


class SD3TextEncoder(JointTextEncoder):
    """Two CLIPs and T5, T5 being optional (its states are zeros then), as diffusers' StableDiffusion3Pipeline joins them.

    states: CLIP's last but one hidden states side by side, padded with zeros to T5's width, then T5's; pooled: the two CLIPs'.
    """

    def __init__(self, family: str, clip_l: Encoder, clip_g: Encoder, t5: Encoder | None, width: int, length: int) -> None:
        some = [clip_l, clip_g] + ([t5] if t5 else [])
        clip_length = clip_l.tokenizer.model_max_length
        super().__init__(family, some, t5 or clip_l, length - 1 if t5 else clip_length - 2)
        self._clips, self._t5, self._width, self._length = (clip_l, clip_g), t5, width, length
        self._clip_length = clip_length

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text: states [77 + length, width], pooled [P]."""
        outputs = [clip.model(clip.ids(texts, self._clip_length), output_hidden_states=True) for clip in self._clips]
        clip = torch.cat([output.hidden_states[-2].float() for output in outputs], dim=-1)
        pooled = torch.cat([output.text_embeds.float() for output in outputs], dim=-1)
        if self._t5 is None:
            t5 = clip.new_zeros(len(texts), self._length, self._width)
        else:
            t5 = self._t5.model(self._t5.ids(texts, self._length)).last_hidden_state.float()
        states = torch.cat([pad(clip, (0, t5.shape[-1] - clip.shape[-1])), t5], dim=1)
        return [Conditioning(s.clone(), self.family, p.clone()) for s, p in zip(states, pooled, strict=True)]


class FluxTextEncoder(JointTextEncoder):
    """T5's states, and CLIP's pooled state."""

    def __init__(self, family: str, clip: Encoder, t5: Encoder, length: int) -> None:
        super().__init__(family, (clip, t5), t5, length - 1)
        self._clip, self._t5, self._length = clip, t5, length

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text: states [length, D], pooled [P]."""
        pooled = self._clip.model(self._clip.ids(texts, self._clip.tokenizer.model_max_length)).pooler_output.float()
        states = self._t5.model(self._t5.ids(texts, self._length)).last_hidden_state.float()
        return [Conditioning(s.clone(), self.family, p.clone()) for s, p in zip(states, pooled, strict=True)]
