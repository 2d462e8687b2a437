"""2.5-D multiple-instance learning: slices as instances, gated attention (Ilse et al. 2018, arXiv:1802.04712).

a_s = softmax_s( wᵀ( tanh(V h_s) ⊙ σ(U h_s) ) ) over the slices s that show tumour or ring; a patient is Σ a_s h_s.
"""

import torch
from torch import nn

from common.networks.image_settings import ImageSettings
from common.networks.residual import levels
from common.networks.shapes import Shapes


class Encoder25D(nn.Module):
    """Patches to vectors of `width` numbers; every slice goes through the same two-dimensional network."""

    def __init__(self, settings: ImageSettings, shapes: Shapes) -> None:
        super().__init__()
        self.width = settings.channels[-1]
        self.neighbours = settings.neighbours
        self.first_mask = shapes.phases
        seen = shapes.channels * (1 + 2 * settings.neighbours)
        self.convolutions = levels(2, seen, settings.channels, settings.blocks)
        self.content = nn.Linear(self.width, settings.attention)
        self.gate = nn.Linear(self.width, settings.attention)
        self.score = nn.Linear(settings.attention, 1, bias=False)

    def maps(self, image: torch.Tensor) -> torch.Tensor:
        """Patients × width × slices × y × x."""
        patients, slices, plane = len(image), image.shape[2], image.shape[3:]
        reach = self.neighbours
        padded = nn.functional.pad(image, (0, 0, 0, 0, reach, reach))
        seen = padded.unfold(2, 1 + 2 * reach, 1)  # patients × channels × slices × y × x × neighbours
        instances = seen.permute(0, 2, 1, 5, 3, 4).reshape(patients * slices, -1, *plane)
        found = self.convolutions(instances)
        return found.reshape(patients, slices, *found.shape[1:]).transpose(1, 2)

    def attention(self, maps: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Patients × slices: how much each slice counts; they add up to 1."""
        each = self._slices(maps)
        scores = self.score(torch.tanh(self.content(each)) * torch.sigmoid(self.gate(each)))[..., 0]
        shown = (image[:, self.first_mask :] > 0.5).flatten(3).any(dim=3).any(dim=1)
        shown = shown | ~shown.any(dim=1, keepdim=True)
        return torch.softmax(scores.masked_fill(~shown, -torch.inf), dim=1)

    def pooled(self, maps: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Patients × width."""
        return (self.attention(maps, image)[..., None] * self._slices(maps)).sum(dim=1)

    def importance(self, gradient: torch.Tensor) -> torch.Tensor:
        """Grad-CAM's weight of each map, slice by slice: the attention is in the gradient."""
        return gradient.mean(dim=(3, 4), keepdim=True)

    def _slices(self, maps: torch.Tensor) -> torch.Tensor:
        """Patients × slices × width: each slice's mean over its maps."""
        return maps.mean(dim=(3, 4)).transpose(1, 2)


def build(settings: ImageSettings, shapes: Shapes) -> nn.Module:
    """The network on images alone; who has no image gets a vector that is learnt."""
    from common.networks.fusion import Fusion, image_alone

    return Fusion(settings.model_copy(update={"encoder": "mil25d"}), image_alone(shapes))
