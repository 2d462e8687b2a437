"""The network on images that a study names, with its first weights."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from common.networks import cnn3d, fusion, mil25d
from common.networks.image_settings import ImageSettings
from common.networks.shapes import Shapes

Architecture = Literal["cnn3d", "mil25d", "fusion"]

BUILD: dict[str, Callable[[ImageSettings, Shapes], nn.Module]] = {
    "cnn3d": cnn3d.build,
    "mil25d": mil25d.build,
    "fusion": fusion.build,
}


def build_image_network(
    architecture: Architecture, settings: ImageSettings, shapes: Shapes, seed: int
) -> fusion.Fusion:
    """A network with PyTorch's own first weights, drawn by a seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = BUILD[architecture](settings, shapes)
    assert isinstance(built, fusion.Fusion)
    return built
