"""Residual convolutions (He et al. 2016, pre-activation) with group normalisation, in two or three dimensions."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

CHANNELS_A_GROUP = 4

Dimensions = Literal[2, 3]


def convolution(dimensions: Dimensions, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """3×3(×3) with a border of zeros, without an intercept."""
    kind = nn.Conv3d if dimensions == 3 else nn.Conv2d
    made = kind(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    if not made.weight.is_meta:  # where there are values to be drawn: without, PyTorch imports its compiler for it
        nn.init.kaiming_normal_(made.weight, nonlinearity="relu")  # its own makes every level weaker than the last
    return made


class Block(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x))))))."""

    def __init__(self, dimensions: Dimensions, width: int) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(width // CHANNELS_A_GROUP, width)
        self.first = convolution(dimensions, width, width)
        self.second_norm = nn.GroupNorm(width // CHANNELS_A_GROUP, width)
        self.second = convolution(dimensions, width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.first(functional.relu(self.first_norm(x)))
        out: torch.Tensor = x + self.second(functional.relu(self.second_norm(inner)))
        return out


def levels(dimensions: Dimensions, inputs: int, channels: Sequence[int], blocks: int) -> nn.Sequential:
    """A convolution at full size, then for each further level one that halves the edges, and blocks; nothing negative.

    Only what blocks add is normalised: how strong a texture is stays in what they add to.
    """
    layers: list[nn.Module] = [convolution(dimensions, inputs, channels[0]), nn.ReLU()]
    for before, width in pairwise(channels):
        layers.append(convolution(dimensions, before, width, stride=2))
        layers += [Block(dimensions, width) for _ in range(blocks)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
