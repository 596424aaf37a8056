"""Pictures that go on at their other side: convolutions that pad with what lies across the border, along x, y or both.

Everything else in a U-Net or an autoencoder looks at each place alone or at all places alike, so this is all that a seam needs.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from nodegraph_nodes.types import Wrap


def set_wrap(module: nn.Module, wrap: Wrap) -> bool:
    """Let all convolutions of a network wrap along the given axes, and along no others. It may be called again.

    Whether there are any: a network without padding has no border to change.
    """
    found = False
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and any(side for side in part.padding if isinstance(side, int)):
            found = True
            _replace(part, "_conv_forward", None if wrap == "none" else _wrapped_convolution(wrap))
        elif type(part).__name__ == "Downsample2D" and getattr(part, "padding", None) == 0:
            _replace(part, "forward", None if wrap == "none" else _wrapped_downsample(wrap))
    return found


def padded(x: Tensor, sides: tuple[int, int, int, int], wrap: Wrap) -> Tensor:
    """x [..., H, W] with (left, right, top, bottom) more positions: from across the border where it wraps, else zeros."""
    left, right, top, bottom = sides
    x = functional.pad(x, (left, right, 0, 0), mode="circular" if wrap in ("x", "both") else "constant")
    return functional.pad(x, (0, 0, top, bottom), mode="circular" if wrap in ("y", "both") else "constant")


def _replace(part: nn.Module, name: str, method: Callable[..., Tensor] | None) -> None:
    """Give one module a method of its own, or its class's back."""
    part.__dict__.pop(name, None)
    if method is not None:
        part.__dict__[name] = MethodType(method, part)


def _wrapped_convolution(wrap: Wrap) -> Callable[..., Tensor]:
    def forward(self: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        down, across = self.padding
        x = padded(x, (across, across, down, down), wrap)
        return functional.conv2d(x, weight, bias, self.stride, 0, self.dilation, self.groups)

    return forward


def _wrapped_downsample(wrap: Wrap) -> Callable[..., Tensor]:
    """diffusers' encoder pads on the right and at the bottom only, outside the convolution."""

    def forward(self: Any, x: Tensor, *_: Any, **__: Any) -> Tensor:
        if self.norm is not None:
            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.conv(padded(x, (0, 1, 0, 1), wrap))  # type: ignore[no-any-return]

    return forward
