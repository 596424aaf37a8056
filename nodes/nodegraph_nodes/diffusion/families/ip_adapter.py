"""IP-Adapters (Ye et al. 2023), in the original layout: `image_proj.*`, and `ip_adapter.N.to_k_ip.weight`, `.to_v_ip.weight`.

N = 1, 3, 5 ... counts a U-Net's attentions in diffusers' order, self-attentions included. Three projections of the encoded
picture are known: plain (4 tokens of the picture as a whole), plus (a resampler over its patches) and full face (every patch).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention
from torch.utils.weak import WeakIdKeyDictionary

from nodegraph_nodes.types import ImageAdapter, Precision

from .assemble import fill, skeleton
from .errors import BrokenModel, ModelError
from .loaded import module_bytes
from .source import TensorInfo, read_header, read_tensors

FAMILY_OF_WIDTH = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
_HEAD_WIDTH = 64  # of the resampler's attention, in all published adapters
_KEYS = re.compile(r"ip_adapter\.(\d+)\.to_k_ip\.weight")


def describe_image_adapter(path: str | Path, digest: str, precision: Precision = "auto") -> ImageAdapter:
    """The recipe of an adapter, from its header alone. Raises ModelError."""
    header = read_header(Path(path))
    if not any(_KEYS.fullmatch(name) for name in header):
        hint = "image_proj.* and ip_adapter.1.to_k_ip.weight are missing"
        raise ModelError(str(path), f"not an IP-Adapter in the original layout: {hint}.")
    if any("_lora." in name or "perceiver_resampler" in name for name in header) or (
        "image_proj.proj.2.weight" in header and "image_proj.proj.3.weight" not in header
    ):
        raise ModelError(str(path), "a FaceID adapter: it reads faces by a network that this version does not have.")
    kind, image_width = _projection_of(str(path), header)
    text_width = header[_layer_names(header)[0]].shape[1]
    family = FAMILY_OF_WIDTH.get(text_width, "")
    return ImageAdapter(family, str(path), digest, kind != "plain", precision, text_width, image_width)


def load_image_adapter(recipe: ImageAdapter, device: torch.device | str, dtype: torch.dtype) -> "IPAdapter":
    """The adapter of a recipe, on the device. Raises ModelError."""
    path = Path(recipe.path)
    header = read_header(path)
    kind, image_width = _projection_of(recipe.path, header)
    tensors = read_tensors(path)
    projection = {n.removeprefix("image_proj."): t for n, t in tensors.items() if n.startswith("image_proj.")}
    keys = _layer_names(header)
    values = [name.replace("to_k_ip", "to_v_ip") for name in keys]
    if missing := [name for name in values if name not in tensors]:
        raise BrokenModel(recipe.path, f"{missing[0]} is missing.")
    width = header[keys[0]].shape[1]
    try:
        network = skeleton(lambda: _PROJECTIONS[kind](projection, image_width, width))
    except KeyError as error:
        raise BrokenModel(recipe.path, f"image_proj.{error.args[0]} is missing.") from None
    return IPAdapter(
        recipe.path,
        fill(network, projection, recipe.path, "image projection", dtype),
        [tensors[name].to(dtype) for name in keys],
        [tensors[name].to(dtype) for name in values],
    )


def _projection_of(path: str, header: Mapping[str, TensorInfo]) -> tuple[str, int]:
    """Which projection an adapter has, and how wide what it reads of a picture is."""
    for name, kind in (("latents", "plus"), ("proj.3.weight", "full face"), ("proj.weight", "plain")):
        if f"image_proj.{name}" in header:
            entry = {"plus": "proj_in.weight", "full face": "proj.0.weight", "plain": "proj.weight"}[kind]
            if f"image_proj.{entry}" not in header:
                raise BrokenModel(path, f"image_proj.{entry} is missing.")
            return kind, header[f"image_proj.{entry}"].shape[1]
    raise ModelError(path, "an IP-Adapter whose way to read pictures (image_proj) this version does not know.")


def _layer_names(header: Mapping[str, TensorInfo]) -> list[str]:
    """The names of the keys' weights, layer by layer."""
    numbers = sorted(int(match[1]) for name in header if (match := _KEYS.fullmatch(name)))
    return [f"ip_adapter.{number}.to_k_ip.weight" for number in numbers]


class IPAdapter:
    """An adapter in memory. keys, values: of each cross-attention, [C, W]."""

    def __init__(self, path: str, projection: nn.Module, keys: list[Tensor], values: list[Tensor]) -> None:
        self.path = path
        self._projection = projection.eval().requires_grad_(False)
        self._keys, self._values = keys, values
        self._tokens: WeakIdKeyDictionary = WeakIdKeyDictionary()  # of pictures seen before: each step asks for the same

    @property
    def nbytes(self) -> int:
        return module_bytes(self._projection) + sum(t.numel() * t.element_size() for t in (*self._keys, *self._values))

    def to(self, device: torch.device | str) -> Self:
        self._projection.to(device)
        self._keys = [tensor.to(device) for tensor in self._keys]
        self._values = [tensor.to(device) for tensor in self._values]
        self._tokens = WeakIdKeyDictionary()
        return self

    @property
    def widths(self) -> tuple[tuple[int, int], ...]:
        """(width of the prompts, width of the keys) of each cross-attention."""
        return tuple((keys.shape[1], keys.shape[0]) for keys in self._keys)

    @torch.no_grad()
    def tokens(self, embeds: Tensor) -> Tensor:
        """What an image encoder says of N pictures [N, T, D] -> tokens [L, W], all pictures' behind one another."""
        if embeds not in self._tokens:
            self._tokens[embeds] = self._projection(embeds.to(self._keys[0])).flatten(0, 1)
        return self._tokens[embeds]  # type: ignore[no-any-return]

    def keys_and_values(self, layer: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Of tokens [K, L, W] in cross-attention number `layer`: two [K, L, C]."""
        tokens = tokens.to(self._keys[layer])
        return linear(tokens, self._keys[layer]), linear(tokens, self._values[layer])


# ---- from an encoded picture [N, T, D] to tokens [N, L, W], under the names of the files ----


class _Plain(nn.Module):
    def __init__(self, tensors: Mapping[str, Tensor], image_width: int, width: int) -> None:
        super().__init__()
        self._width = width
        self.proj = nn.Linear(image_width, tensors["proj.weight"].shape[0])
        self.norm = nn.LayerNorm(width)

    def forward(self, embeds: Tensor) -> Tensor:
        return self.norm(self.proj(embeds[:, 0]).unflatten(-1, (-1, self._width)))  # type: ignore[no-any-return]


class _FullFace(nn.Module):
    def __init__(self, tensors: Mapping[str, Tensor], image_width: int, width: int) -> None:
        super().__init__()
        inner = tensors["proj.0.weight"].shape[0]
        self.proj = nn.Sequential(nn.Linear(image_width, inner), nn.GELU(), nn.Linear(inner, width), nn.LayerNorm(width))

    def forward(self, embeds: Tensor) -> Tensor:
        return self.proj(embeds)  # type: ignore[no-any-return]


class _Resampler(nn.Module):
    """Queries that read a picture's patches (the perceiver of Flamingo, Alayrac et al. 2022)."""

    def __init__(self, tensors: Mapping[str, Tensor], image_width: int, width: int) -> None:
        super().__init__()
        latents = tensors["latents"]
        inner = latents.shape[2]
        depth = len({name.split(".")[1] for name in tensors if name.startswith("layers.")})
        self.latents = nn.Parameter(torch.empty(latents.shape))
        self.proj_in = nn.Linear(image_width, inner)
        self.proj_out = nn.Linear(inner, width)
        self.norm_out = nn.LayerNorm(width)
        attended, hidden = tensors["layers.0.0.to_q.weight"].shape[0], tensors["layers.0.1.1.weight"].shape[0]
        self.layers = nn.ModuleList(
            nn.ModuleList([_Perceiver(inner, attended), _feed_forward(inner, hidden)]) for _ in range(depth)
        )

    def forward(self, embeds: Tensor) -> Tensor:
        patches, latents = self.proj_in(embeds), self.latents.expand(embeds.shape[0], -1, -1)
        for attention, feed_forward in self.layers:  # type: ignore[misc]
            latents = latents + attention(patches, latents)  # type: ignore[has-type]
            latents = latents + feed_forward(latents)  # type: ignore[has-type]
        return self.norm_out(self.proj_out(latents))  # type: ignore[no-any-return]


class _Perceiver(nn.Module):
    def __init__(self, width: int, attended: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q = nn.Linear(width, attended, bias=False)
        self.to_kv = nn.Linear(width, 2 * attended, bias=False)
        self.to_out = nn.Linear(attended, width, bias=False)

    def forward(self, patches: Tensor, latents: Tensor) -> Tensor:
        latents = self.norm2(latents)
        read = torch.cat([self.norm1(patches), latents], 1)
        heads = (
            t.unflatten(-1, (-1, _HEAD_WIDTH)).transpose(1, 2) for t in (self.to_q(latents), *self.to_kv(read).chunk(2, -1))
        )
        return self.to_out(scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def _feed_forward(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, width, bias=False)
    )


_PROJECTIONS = {"plain": _Plain, "full face": _FullFace, "plus": _Resampler}
