"""Inception-v3 as the published FID sees it (Szegedy et al. 2015, arXiv 1512.00567).

The weights are those of TensorFlow's graph of 2015-12-05, and so are two peculiarities, without
which the number is not FID: average pools leave their padding out of the mean, and the pool of the
very last block takes the maximum. Names of parameters follow the published state dict, whose
classifier (1008 logits) is left out: the features are the mean of the last 8 x 8 map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 2048
SIDE = 299  # pixels
NORM_EPS = 1e-3


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution without bias, batch norm and ReLU; kernel is (height, width)."""

    name: str
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1

    @property
    def padding(self) -> tuple[int, int]:
        """Half the kernel; none where the map is halved, as in TensorFlow's VALID."""
        return (self.kernel[0] // 2, self.kernel[1] // 2) if self.stride == 1 else (0, 0)


@dataclass(frozen=True, slots=True)
class Pool:
    """A 3 x 3 pool, ``average`` or ``maximum``."""

    kind: str
    stride: int = 1

    def __call__(self, maps: Tensor) -> Tensor:
        """Pool maps [b, c, h, w]."""
        padding = 1 if self.stride == 1 else 0
        if self.kind == "maximum":
            return functional.max_pool2d(maps, 3, self.stride, padding)
        return functional.avg_pool2d(maps, 3, self.stride, padding, count_include_pad=False)


Fork = tuple[Conv, Conv]  # both see the same maps; their outputs are joined
Step = Conv | Pool | Fork
Branch = Sequence[Step]

ROW, COLUMN, SQUARE = (1, 7), (7, 1), (3, 3)


def _block_35(pooled: int) -> list[Branch]:
    return [
        [Conv("branch1x1", 64)],
        [Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))],
        [
            Conv("branch3x3dbl_1", 64),
            Conv("branch3x3dbl_2", 96, SQUARE),
            Conv("branch3x3dbl_3", 96, SQUARE),
        ],
        [Pool("average"), Conv("branch_pool", pooled)],
    ]


def _to_17() -> list[Branch]:
    return [
        [Conv("branch3x3", 384, SQUARE, 2)],
        [
            Conv("branch3x3dbl_1", 64),
            Conv("branch3x3dbl_2", 96, SQUARE),
            Conv("branch3x3dbl_3", 96, SQUARE, 2),
        ],
        [Pool("maximum", 2)],
    ]


def _block_17(width: int) -> list[Branch]:
    return [
        [Conv("branch1x1", 192)],
        [
            Conv("branch7x7_1", width),
            Conv("branch7x7_2", width, ROW),
            Conv("branch7x7_3", 192, COLUMN),
        ],
        [
            Conv("branch7x7dbl_1", width),
            Conv("branch7x7dbl_2", width, COLUMN),
            Conv("branch7x7dbl_3", width, ROW),
            Conv("branch7x7dbl_4", width, COLUMN),
            Conv("branch7x7dbl_5", 192, ROW),
        ],
        [Pool("average"), Conv("branch_pool", 192)],
    ]


def _to_8() -> list[Branch]:
    return [
        [Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, SQUARE, 2)],
        [
            Conv("branch7x7x3_1", 192),
            Conv("branch7x7x3_2", 192, ROW),
            Conv("branch7x7x3_3", 192, COLUMN),
            Conv("branch7x7x3_4", 192, SQUARE, 2),
        ],
        [Pool("maximum", 2)],
    ]


def _block_8(pool: str) -> list[Branch]:
    def fork(name: str) -> Fork:
        return Conv(f"{name}a", 384, (1, 3)), Conv(f"{name}b", 384, (3, 1))

    return [
        [Conv("branch1x1", 320)],
        [Conv("branch3x3_1", 384), fork("branch3x3_2")],
        [
            Conv("branch3x3dbl_1", 448),
            Conv("branch3x3dbl_2", 384, SQUARE),
            fork("branch3x3dbl_3"),
        ],
        [Pool(pool), Conv("branch_pool", 192)],
    ]


STEM: Branch = [
    Conv("Conv2d_1a_3x3", 32, SQUARE, 2),
    Conv("Conv2d_2a_3x3", 32, SQUARE),
    Conv("Conv2d_2b_3x3", 64, SQUARE),
    Pool("maximum", 2),
    Conv("Conv2d_3b_1x1", 80),
    Conv("Conv2d_4a_3x3", 192, SQUARE),
    Pool("maximum", 2),
]
UNPADDED = ("Conv2d_2a_3x3", "Conv2d_4a_3x3")  # stride 1 and yet VALID
BLOCKS: Mapping[str, list[Branch]] = {
    "Mixed_5b": _block_35(32),
    "Mixed_5c": _block_35(64),
    "Mixed_5d": _block_35(64),
    "Mixed_6a": _to_17(),
    "Mixed_6b": _block_17(128),
    "Mixed_6c": _block_17(160),
    "Mixed_6d": _block_17(160),
    "Mixed_6e": _block_17(192),
    "Mixed_7a": _to_8(),
    "Mixed_7b": _block_8("average"),
    "Mixed_7c": _block_8("maximum"),
}


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, conv: Conv) -> None:
        super().__init__()
        padding = (0, 0) if conv.name in UNPADDED else conv.padding
        self.conv = nn.Conv2d(
            channels, conv.width, conv.kernel, conv.stride, padding=padding, bias=False
        )
        self.bn = nn.BatchNorm2d(conv.width, eps=NORM_EPS)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [b, c, h, w] to [b, width, h', w']."""
        return functional.relu(self.bn(self.conv(maps)))


class Mixed(nn.Module):
    """Branches side by side, their outputs joined."""

    def __init__(self, channels: int, branches: Sequence[Branch]) -> None:
        super().__init__()
        self.branches = branches
        self.width = sum(_build(self, channels, branch) for branch in branches)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [b, c, h, w] to [b, width, h', w']."""
        return torch.cat([_walk(self, branch, maps) for branch in self.branches], dim=1)


class InceptionV3(nn.Module):
    """Images [b, 3, 299, 299] in [0, 255] to features [b, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        width = _build(self, 3, STEM)
        for name, branches in BLOCKS.items():
            block = Mixed(width, branches)
            self.add_module(name, block)
            width = block.width

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean of the last maps."""
        maps = _walk(self, STEM, to_graph_range(images))
        for name in BLOCKS:
            maps = self.get_submodule(name)(maps)
        return maps.mean(dim=(2, 3))


def to_graph_range(images: Tensor) -> Tensor:
    """Return [0, 255] as the graph scales it: [-1, 127/128]."""
    return (images - 128) / 128


def _build(module: nn.Module, channels: int, branch: Branch) -> int:
    """Add a branch's convolutions to a module by their names and return the branch's width."""
    for step in branch:
        if isinstance(step, Pool):
            continue
        convs = (step,) if isinstance(step, Conv) else step
        for conv in convs:
            module.add_module(conv.name, ConvNorm(channels, conv))
        channels = sum(conv.width for conv in convs)
    return channels


def _walk(module: nn.Module, branch: Branch, maps: Tensor) -> Tensor:
    for step in branch:
        if isinstance(step, Pool):
            maps = step(maps)
        elif isinstance(step, Conv):
            maps = module.get_submodule(step.name)(maps)
        else:
            maps = torch.cat([module.get_submodule(conv.name)(maps) for conv in step], dim=1)
    return maps
