"""A small residual network in three dimensions: convolutions, then the mean over tumour and ring.

Every map is centred about its mean over the patch. What all patients have in common would otherwise be a hundred times
what tells them apart, and training without batch normalisation gets nowhere.
"""

import torch
from torch import nn
from torch.nn import functional

from common.networks.image_settings import ImageSettings
from common.networks.residual import levels
from common.networks.shapes import Shapes

ALMOST_NOTHING = 1e-6
"""What a voxel outside tumour and ring weighs: where a patch shows neither, the mean is over all."""


class Encoder3D(nn.Module):
    """Patches to vectors of `width` numbers, by way of maps that explanations look at."""

    def __init__(self, settings: ImageSettings, shapes: Shapes) -> None:
        super().__init__()
        self.width = settings.channels[-1]
        self.first_mask = shapes.phases
        self.convolutions = levels(3, shapes.channels, settings.channels, settings.blocks)

    def maps(self, image: torch.Tensor) -> torch.Tensor:
        """Patients × width × z × y × x, coarser than the patch."""
        found: torch.Tensor = self.convolutions(image)
        return found - found.mean(dim=(2, 3, 4), keepdim=True)

    def pooled(self, maps: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Patients × width."""
        shown = image[:, self.first_mask :].amax(dim=1, keepdim=True)
        weight = (
            functional.adaptive_avg_pool3d(shown, (maps.shape[2], maps.shape[3], maps.shape[4])) + ALMOST_NOTHING
        )
        return (weight * maps).sum(dim=(2, 3, 4)) / weight.sum(dim=(2, 3, 4))

    def importance(self, gradient: torch.Tensor) -> torch.Tensor:
        """Grad-CAM's weight of each map: the mean gradient over it."""
        return gradient.mean(dim=(2, 3, 4), keepdim=True)


def build(settings: ImageSettings, shapes: Shapes) -> nn.Module:
    """The network on images alone; who has no image gets a vector that is learnt."""
    from common.networks.fusion import Fusion, image_alone

    return Fusion(settings.model_copy(update={"encoder": "cnn3d"}), image_alone(shapes))
