"""Inception v3 (Szegedy et al. 2016) as the Fréchet inception distance uses it: the 2015 TensorFlow network, ported to torch.

It differs from torchvision's in three places: averages do not count the padding, the last block takes a maximum where others
take an average, and it has 1,008 classes. Names are those of the port's file (pt_inception-2015-12-05).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from nodegraph_nodes.diffusion.families.assemble import fill, skeleton

INCEPTION_LAYERS = ("pool1", "pool2", "pool3", "logits")
"""After the first and second maximum [64, 192], the last block [2048] (FID's), and the answers [1008]."""


class _Conv(nn.Module):
    """A convolution, normalised, rectified."""

    def __init__(self, inputs: int, outputs: int, size: int | tuple[int, int], stride: int = 1, pad: int | tuple[int, int] = 0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, pad, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


def _mean(x: Tensor) -> Tensor:
    return avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class _A(nn.Module):
    """35 x 35: 1x1, 5x5, two 3x3, average."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = _Conv(inputs, 48, 1), _Conv(48, 64, 5, pad=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3, pad=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, pad=1)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), three, self.branch_pool(_mean(x))], 1)


class _B(nn.Module):
    """35 x 35 -> 17 x 17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3, pad=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), three, max_pool2d(x, 3, 2)], 1)


class _C(nn.Module):
    """17 x 17, with sevens split into rows and columns."""

    def __init__(self, seven: int) -> None:
        super().__init__()
        across, down = {"size": (1, 7), "pad": (0, 3)}, {"size": (7, 1), "pad": (3, 0)}

        def conv(inputs: int, outputs: int, shape: dict[str, tuple[int, int]]) -> _Conv:
            return _Conv(inputs, outputs, shape["size"], 1, shape["pad"])

        self.branch1x1 = _Conv(768, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = _Conv(768, seven, 1), conv(seven, seven, across)
        self.branch7x7_3 = conv(seven, 192, down)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = _Conv(768, seven, 1), conv(seven, seven, down)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = conv(seven, seven, across), conv(seven, seven, down)
        self.branch7x7dbl_5 = conv(seven, 192, across)
        self.branch_pool = _Conv(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_mean(x))], 1)


class _D(nn.Module):
    """17 x 17 -> 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = _Conv(768, 192, 1), _Conv(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = _Conv(768, 192, 1), _Conv(192, 192, (1, 7), 1, (0, 3))
        self.branch7x7x3_3, self.branch7x7x3_4 = _Conv(192, 192, (7, 1), 1, (3, 0)), _Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, max_pool2d(x, 3, 2)], 1)


class _E(nn.Module):
    """8 x 8, with threes split into rows and columns side by side. greatest: its pooling takes the maximum."""

    def __init__(self, inputs: int, greatest: bool) -> None:
        super().__init__()
        self.greatest = greatest
        self.branch1x1 = _Conv(inputs, 320, 1)
        self.branch3x3_1 = _Conv(inputs, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = _Conv(384, 384, (1, 3), 1, (0, 1)), _Conv(384, 384, (3, 1), 1, (1, 0))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 448, 1), _Conv(448, 384, 3, pad=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = _Conv(384, 384, (1, 3), 1, (0, 1)), _Conv(384, 384, (3, 1), 1, (1, 0))
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = self.branch_pool(max_pool2d(x, 3, 1, 1) if self.greatest else _mean(x))
        split = [self.branch3x3_2a(three), self.branch3x3_2b(three), self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *split, pooled], 1)


class _Inception(nn.Module):
    """The whole network: [B, 3, H, W], -1..1, H and W at least 75 -> [B, 1008], without a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = _Conv(3, 32, 3, 2), _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, pad=1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = _Conv(64, 80, 1), _Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        self.Mixed_6a = _B(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = _C(128), _C(160), _C(160), _C(192)
        self.Mixed_7a = _D()
        self.Mixed_7b, self.Mixed_7c = _E(1280, greatest=False), _E(2048, greatest=True)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor, layer: str) -> Tensor:
        x = max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        if layer == "pool1":
            return x
        x = max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        if layer == "pool2":
            return x
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        if layer == "pool3":
            return x
        answer: Tensor = self.fc(x.mean((2, 3)))
        return answer


def inception_v3() -> nn.Module:
    """The network without memory for its weights: its names and shapes."""
    network: nn.Module = skeleton(_Inception)
    return network


class InceptionUpTo(nn.Module):
    """Inception v3 from its tensors, as far as one of `INCEPTION_LAYERS`. Raises ModelError."""

    def __init__(self, tensors: Mapping[str, Tensor], layer: str, path: str = "Inception v3") -> None:
        super().__init__()
        counts = {name: torch.zeros((), dtype=torch.int64) for name in _counters()}  # of trainings; files may lack them
        self.network: _Inception = fill(inception_v3(), {**counts, **tensors}, path, "Inception v3", torch.float32)
        self.layer = layer

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W], -1..1 -> [B, C, h, w], of logits [B, 1008]."""
        out: Tensor = self.network(pixels, self.layer)
        return out


def _counters() -> list[str]:
    return [name for name in inception_v3().state_dict() if name.endswith("num_batches_tracked")]
