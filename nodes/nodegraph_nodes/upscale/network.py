"""Networks that enlarge pictures: whatever architecture spandrel recognises (ESRGAN, SwinIR, DAT, SPAN ...), from safetensors.

spandrel is imported when the first network is loaded. Its package asks for torchvision, of which there is no build for a CPU's
torch; only two of its architectures use it, so it is installed without, and does without.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import torch
from torch import Tensor

from nodegraph_nodes.diffusion.families.errors import BrokenModel, ModelError
from nodegraph_nodes.diffusion.families.source import read_tensors

INSTALL = "pip install --no-deps spandrel==0.4.2, then pip install einops"


class LoadedUpscaler:
    """An enlarging network. scale: by how much; architecture: its name; multiple: sides of a tile are multiples of it."""

    def __init__(self, descriptor: Any) -> None:
        self.module = descriptor.model.eval().requires_grad_(False)
        self.scale = int(descriptor.scale)
        self.architecture = str(descriptor.architecture.name)
        self.channels = int(descriptor.input_channels)
        self._descriptor = descriptor

    @property
    def nbytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in (*self.module.parameters(), *self.module.buffers()))

    def to(self, device: torch.device | str) -> Self:
        self._descriptor.to(device)
        return self

    def convert(self, dtype: torch.dtype) -> Self:
        self._descriptor.to(dtype=dtype)
        return self

    @torch.no_grad()
    def enlarge(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] 0..1 -> [B, 3, scale H, scale W] float32. The descriptor pads to what the architecture needs."""
        place = next(self.module.parameters())
        if self.channels == 1:  # one plane at a time
            planes = pixels.flatten(0, 1)[:, None]
            made: Tensor = self._descriptor(planes.to(place)).float()
            return made.reshape(*pixels.shape[:2], *made.shape[2:]).clamp(0, 1)
        made = self._descriptor(pixels.to(place)).float()
        return made.clamp(0, 1)


def load_upscaler_file(path: Path) -> LoadedUpscaler:
    """An enlarging network from a .safetensors file, on the CPU, in float32. Raises ModelError."""
    spandrel = _spandrel(path)
    tensors = read_tensors(path)
    nested = next((tensors[name] for name in ("params_ema", "params") if name in tensors), None)
    if isinstance(nested, Tensor):
        raise BrokenModel(str(path), "its tensors lie one level too deep; save the state dict itself.")
    try:
        with _without_torchvision():
            found = spandrel.ModelLoader().load_from_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except spandrel.UnsupportedModelError:
        raise ModelError(
            str(path), "no upscaler that is known here. ESRGAN, RealESRGAN, SwinIR, DAT, HAT, SPAN and many others are."
        ) from None
    except ImportError as error:
        raise ModelError(str(path), f"this architecture cannot be used here: {error}.") from None
    except (RuntimeError, KeyError, ValueError, AssertionError) as error:
        raise BrokenModel(str(path), f"it looks like an upscaler, but its weights do not fit together ({error}).") from None
    if found.purpose not in ("SR", "FaceSR", "Restoration") or not isinstance(found, spandrel.ImageModelDescriptor):
        raise ModelError(str(path), f"a network for {found.purpose}, not one that makes pictures larger or cleaner.")
    if found.input_channels not in (1, 3):
        raise ModelError(str(path), f"it takes pictures of {found.input_channels} channels; 1 and 3 can be used.")
    return LoadedUpscaler(found)


def _spandrel(path: Path) -> Any:
    try:
        with _without_torchvision():
            import spandrel
    except ImportError as error:
        missing = error.name or "spandrel"
        raise ModelError(str(path), f"upscalers need the package {missing!r}: {INSTALL}.") from None
    return spandrel


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Where torchvision is absent, stand in for what spandrel imports of it; diffusers and transformers must not see that."""
    names = ["torchvision", "torchvision.transforms", "torchvision.transforms.functional"]
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is not None:
        yield
        return

    def absent(*_: Any, **__: Any) -> Any:
        raise ImportError("it needs torchvision, which is not installed")

    modules = {name: ModuleType(name) for name in names}
    for module in modules.values():
        module.__path__ = []
    functional: Any = modules[names[2]]
    functional.rotate = functional.normalize = absent
    functional.InterpolationMode = SimpleNamespace(NEAREST="nearest", BILINEAR="bilinear")
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
