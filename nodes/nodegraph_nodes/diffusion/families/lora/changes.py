"""What a LoRA file does to one weight: formulas from low-rank factors to the change of a weight.

lora: (alpha / r) up down (Hu et al. 2021), for convolutions as in LoCon, with a Tucker core where there is one; loha: a
product of two such (Hyeon-Woo et al. 2022, FedPara); lokr: a Kronecker product (Yeh et al. 2023, LyCORIS, section 4.2); with a
magnitude: the changed weight's rows are scaled to given lengths (Liu et al. 2024, DoRA).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .reading import LoraFile, LoraLayer, Method, peft_alpha


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One file's change of one weight. parts: float tensors by name; factor: alpha / r.

    rows: those of the file's change that this weight gets, where the file has several weights in one; swapped: its halves
    change places.
    """

    method: Method
    parts: Mapping[str, Tensor]
    factor: float
    rows: tuple[int, int | None] | None = None
    swapped: bool = False

    @property
    def is_dora(self) -> bool:
        return "magnitude" in self.parts

    def matrix(self, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """The change at weight 1, without DoRA's magnitude: float32, of the weight's shape."""
        parts = {name: part.to(device) for name, part in self.parts.items()}
        full = _METHODS[self.method](parts) * self.factor
        return self._own(full.reshape(full.shape[0], -1)).reshape(shape)

    def onto(self, weight: Tensor, amount: float) -> Tensor:
        """A float32 weight, changed by `amount` of this."""
        matrix = self.matrix(tuple(weight.shape), weight.device)
        if not self.is_dora:
            return weight + amount * matrix
        return weight + amount * (_rescaled(weight + matrix, self.parts["magnitude"].float().to(weight.device)) - weight)

    def low_rank(self, is_convolution: bool) -> tuple[Tensor, Tensor | None, Tensor] | None:
        """down, core and up, float32: up(core(down(x))) is the change of the output. None where it has no such form."""
        if self.method != "lora" or self.is_dora or self.swapped:
            return None
        down, up = self.parts["down"].float(), self.parts["up"].float()
        core = self.parts["mid"].float() if "mid" in self.parts else None
        up = self._own(up.flatten(1)) * self.factor
        if not is_convolution:
            return down.flatten(1), None, up
        if down.ndim == 2:
            down = down[..., None, None]
        return down, core, up[..., None, None]

    def _own(self, full: Tensor) -> Tensor:
        """Of the file's rows [R, ...] those of this weight."""
        if self.rows is not None:
            full = full[self.rows[0] : self.rows[1]]
        return torch.cat(full.chunk(2)[::-1]) if self.swapped else full


def change_of(file: LoraFile, layer: LoraLayer, rows: tuple[int, int | None] | None = None, swapped: bool = False) -> Change:
    """The change that a file has for a layer."""
    parts = {part: file.tensors[name] for part, name in layer.parts.items() if part not in ("alpha", "bias")}
    if "magnitude" in parts:  # PEFT's: one a row, whatever its shape
        parts["magnitude"] = parts["magnitude"].reshape(-1)
    elif "dora_scale" in parts:
        parts["magnitude"] = parts.pop("dora_scale")
    stored = file.tensors[layer.parts["alpha"]].item() if "alpha" in layer.parts else peft_alpha(file, layer)
    rank = _rank(layer.method, parts)
    factor = 1.0 if stored is None or rank is None else stored / rank
    return Change(layer.method, parts, factor, rows, swapped)


def _rank(method: Method, parts: Mapping[str, Tensor]) -> int | None:
    """r in alpha / r; None where alpha does not count."""
    if method == "lora":
        return parts["down"].shape[0]
    if method == "loha":
        return parts["hada_w1_b"].shape[0]
    if method == "lokr":
        inner = parts.get("lokr_w1_b", parts.get("lokr_w2_b"))
        return None if inner is None else inner.shape[0]
    return None


# ---- formulas: parts -> the change, before alpha / r ----


def _lora(parts: Mapping[str, Tensor]) -> Tensor:
    down, up = parts["down"].float(), parts["up"].float().flatten(1)  # [r, ...], [o, r]
    if "mid" in parts:
        return torch.einsum("or,rshw,si->oihw", up, parts["mid"].float(), down.flatten(1))
    return (up @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])


def _loha(parts: Mapping[str, Tensor]) -> Tensor:
    w = {name: tensor.float() for name, tensor in parts.items()}
    if "hada_t1" in w:
        first = torch.einsum("rshw,si,ro->oihw", w["hada_t1"], w["hada_w1_b"], w["hada_w1_a"])
        return first * torch.einsum("rshw,si,ro->oihw", w["hada_t2"], w["hada_w2_b"], w["hada_w2_a"])
    return (w["hada_w1_a"] @ w["hada_w1_b"]) * (w["hada_w2_a"] @ w["hada_w2_b"])


def _lokr(parts: Mapping[str, Tensor]) -> Tensor:
    w = {name: tensor.float() for name, tensor in parts.items()}
    first = w["lokr_w1"] if "lokr_w1" in w else w["lokr_w1_a"] @ w["lokr_w1_b"]
    if "lokr_t2" in w:
        second = torch.einsum("rshw,si,ro->oihw", w["lokr_t2"], w["lokr_w2_b"], w["lokr_w2_a"])
    elif "lokr_w2" in w:
        second = w["lokr_w2"]
    else:
        second = w["lokr_w2_a"] @ w["lokr_w2_b"].flatten(1)
    if second.ndim == 4:
        first = first[..., None, None]
    return torch.kron(first.contiguous(), second.contiguous())


def _difference(parts: Mapping[str, Tensor]) -> Tensor:
    return parts["difference"].float()


_METHODS = {"lora": _lora, "loha": _loha, "lokr": _lokr, "difference": _difference}


def _rescaled(weight: Tensor, magnitude: Tensor) -> Tensor:
    """Weights [o, i, ...] whose rows have these lengths ([o] or [o, 1, ...]), or whose columns have ([1, i, ...])."""
    if magnitude.ndim == 1 or magnitude.shape[0] == weight.shape[0]:
        lengths: Tensor = weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))
    else:
        lengths = weight.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *[1] * (weight.ndim - 2))
    return weight * (magnitude.reshape(lengths.shape) / lengths)
