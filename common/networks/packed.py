"""A network on images over rows in which a patient's columns and voxels stand side by side (packing.py).

So rounds, strategies, losses and scoring are the same for every network.
"""

from collections.abc import Callable

import torch
from torch import nn

from common.networks import cnn3d, fusion, mil25d
from common.networks.augmentation import Augmented
from common.networks.image_settings import ImageSettings
from common.networks.inputs import Inputs
from common.networks.settings import Network
from common.networks.shapes import Shapes
from common.study import Study

BUILD: dict[str, Callable[[ImageSettings, Shapes], nn.Module]] = {
    "cnn3d": cnn3d.build,
    "mil25d": mil25d.build,
    "fusion": fusion.build,
}


class Packed(nn.Module):
    """Unpacks rows for a network on images; while training, patches are changed at random first."""

    def __init__(self, network: nn.Module, shapes: Shapes, columns: int, augment: Augmented | None) -> None:
        super().__init__()
        self.network, self.shapes, self.columns, self.augment = network, shapes, columns, augment

    def unpacked(self, rows: torch.Tensor) -> Inputs:
        """What the network is shown of some rows; prepared columns have no gaps, so the table is always there."""
        image = rows[:, self.columns + 1 :].reshape(len(rows), self.shapes.channels, *self.shapes.voxels)
        has_image = rows[:, self.columns : self.columns + 1]
        there = torch.cat([has_image, *(torch.ones_like(has_image) for _ in self.shapes.parts)], dim=1)
        return Inputs(rows[:, : self.columns], image, there)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Patients × linear predictors."""
        inputs = self.unpacked(rows)
        if self.training and self.augment is not None:
            seed = int(torch.randint(2**31, ()))  # from the generator that training seeded
            inputs = inputs.with_image(self.augment(inputs.image, seed))
        found: torch.Tensor = self.network(inputs)
        return found


def build(study: Study, settings: Network, columns: int) -> Packed:
    """The study's network on images, beside so many columns; fusion joins all of them as one part."""
    assert study.patches is not None
    patches = study.patches
    shapes = Shapes(
        voxels=patches.shape,
        phases=len(patches.phases),
        masks=len(patches.mask_channels()),
        parts={"columns": tuple(range(columns))} if settings.architecture == "fusion" else {},
        outputs=study.lines(),
        intercept=study.outcome.kind != "survival",
        second_intercept=None if settings.also is None else not settings.also.survival,
    )
    network = BUILD[settings.architecture](settings.image or ImageSettings(), shapes)
    augment = None if patches.augmentation is None else Augmented(patches.augmentation, shapes.phases)
    return Packed(network, shapes, columns, augment)
