"""Intermediate fusion: image, radiomics and clinical columns become embeddings, joined before the last layers.

What a patient is without is replaced by a vector that is learnt, and said to the joined layer by a 0.
"""

from dataclasses import replace

import torch
from torch import nn

from common.networks.cnn3d import Encoder3D
from common.networks.image_settings import ImageSettings
from common.networks.inputs import Inputs
from common.networks.last_layer import last_layer
from common.networks.mil25d import Encoder25D
from common.networks.shapes import Shapes

GAIN = 10.0
"""Means over a patch differ between patients by hundredths, standardised columns by one."""


class Fusion(nn.Module):
    """An encoder of images, and a small layer for each part of the table; without parts, a network on images alone."""

    def __init__(self, settings: ImageSettings, shapes: Shapes) -> None:
        super().__init__()
        self.shapes = shapes
        self.hidden_share = settings.modality_dropout if shapes.parts else 0.0
        self.encoder = (Encoder3D if settings.encoder == "cnn3d" else Encoder25D)(settings, shapes)
        self.embeddings = nn.ModuleList([nn.Linear(self.encoder.width, settings.embedding)])
        self.embeddings += [nn.Linear(len(columns), settings.embedding) for columns in shapes.parts.values()]
        self.missing = nn.Parameter(torch.zeros(len(self.embeddings), settings.embedding))
        self.dropout = nn.Dropout(settings.dropout)
        together = len(self.embeddings) * settings.embedding
        joined: list[nn.Module] = []
        if shapes.parts:
            joined = [nn.Linear(together + len(self.embeddings), settings.joined), nn.ReLU()]
            together = settings.joined
        last = last_layer(together, shapes.outputs, shapes.intercept, shapes.second_intercept)
        self.joined = nn.Sequential(*joined, last)

    def forward(self, inputs: Inputs) -> torch.Tensor:
        """Patients × linear predictors."""
        if not bool(
            (inputs.there[:, 0] > 0).any()
        ):  # a model that is shown no image: its maps would count for nothing
            return self._joined_up(inputs.image.new_zeros(len(inputs), self.encoder.width), inputs)
        return self.from_maps(self.encoder.maps(inputs.image), inputs)

    def from_maps(self, maps: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        """The rest of the way, from the encoder's maps on."""
        return self._joined_up(self.encoder.pooled(maps, inputs.image), inputs)

    def _joined_up(self, pooled: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        seen = [GAIN * pooled]
        seen += [inputs.table[:, list(columns)] for columns in self.shapes.parts.values()]
        there = self._shown(inputs.there)
        embedded = []
        for number, values in enumerate(seen):
            here = there[:, number : number + 1]
            embedded.append(torch.where(here > 0, self.embeddings[number](values), self.missing[number]))
        together = self.dropout(torch.cat(embedded, dim=1))
        if self.shapes.parts:
            together = torch.cat([together, there], dim=1)
        found: torch.Tensor = self.joined(together)
        return found

    def _shown(self, there: torch.Tensor) -> torch.Tensor:
        """Which modalities count; while training, some are hidden, never all of a patient's."""
        if not self.training or not self.hidden_share:
            return there
        left = there * (torch.rand(there.shape, device=there.device) >= self.hidden_share)
        return torch.where(left.any(dim=1, keepdim=True), left, there)


def image_alone(shapes: Shapes) -> Shapes:
    """The same without a table."""
    return replace(shapes, parts={})


def build(settings: ImageSettings, shapes: Shapes) -> nn.Module:
    """The network on images and on every part of the table."""
    return Fusion(settings, shapes)
