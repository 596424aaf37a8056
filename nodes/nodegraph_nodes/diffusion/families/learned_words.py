"""Learned words (textual inversion, Gal et al. 2022) from .safetensors files: a few vectors in place of a token's own.

Layouts: A1111's `emb_params` [n, D], diffusers' one tensor under the word itself [D] or [n, D], and for models with two CLIP
encoders (SDXL) `clip_l` and `clip_g`, each [n, D].
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from nodegraph_nodes.types import Embedding

from .errors import BrokenModel, ModelError
from .source import read_header, read_tensors

_TWO = ("clip_l", "clip_g")
_WIDTHS = {
    (384,): "the starter model",
    (768,): "SD 1",
    (1024,): "SD 2",
    (768, 1280): "SDXL",
    (1280,): "SDXL's larger encoder",
}


def check_layout(path: Path) -> None:
    """Raises ModelError for a file that holds no learned word. Reads its header only."""
    _names(str(path), {name: info.shape for name, info in read_header(path).items()})


def read_words(embeddings: Sequence[Embedding], widths: Sequence[int]) -> dict[str, tuple[Tensor, ...]]:
    """The vectors of each learned word by its name, one tensor [n, D] for each encoder of a model.

    widths: D of each of the encoders. Raises ModelError for files made for another model.
    """
    return {embedding.name: _vectors(embedding, tuple(widths)) for embedding in embeddings}


def _vectors(embedding: Embedding, widths: tuple[int, ...]) -> tuple[Tensor, ...]:
    tensors = read_tensors(Path(embedding.path))
    names = _names(embedding.path, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    found = tuple(tensors[name].float().reshape(-1, tensors[name].shape[-1]) for name in names)
    made_for = tuple(tensor.shape[1] for tensor in found)
    if made_for != widths:
        raise ModelError(
            embedding.path,
            f"the embedding {embedding.name!r} was made for {_said(made_for)}, and this model is {_said(widths)}; "
            "use one that was made for this kind of model.",
        )
    if len({len(tensor) for tensor in found}) > 1:
        raise BrokenModel(embedding.path, "clip_l and clip_g hold different numbers of vectors.")
    return found


def _names(path: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Which tensors are the word's vectors, in the order of a model's encoders."""
    names: tuple[str, ...] = ()
    if "emb_params" in shapes:
        names = ("emb_params",)
    elif set(_TWO) <= shapes.keys():
        names = _TWO
    elif len(shapes) == 1:
        names = tuple(shapes)
    if not names or any(len(shapes[name]) not in (1, 2) for name in names):
        raise BrokenModel(
            path, "it holds no learned word: neither emb_params, nor clip_l and clip_g, nor a single word's vectors."
        )
    return names


def _said(widths: tuple[int, ...]) -> str:
    numbers = " and ".join(map(str, widths))
    known = _WIDTHS.get(widths)
    return f"{known} (vectors of {numbers} numbers)" if known else f"a model with vectors of {numbers} numbers"
