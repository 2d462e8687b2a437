"""Patches changed at random while a network is trained: flips, turns, shifts and intensities, from a seed."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from common.patches import Augmentation


@dataclass(frozen=True)
class Augmented:
    """Changes patches as a study asks; masks move with their image.

    Parameters
    ----------
    phases
        How many of the first channels hold intensities; the others are masks.
    """

    settings: Augmentation
    phases: int

    def __call__(self, image: torch.Tensor, seed: int) -> torch.Tensor:
        """Patients × channels × z × y × x, each patient changed in its own way; the same seed, the same changes."""
        draw = torch.Generator().manual_seed(seed)
        moved = functional.grid_sample(
            image,
            functional.affine_grid(self._transforms(image, draw), list(image.shape), align_corners=False),
            mode="bilinear",
            padding_mode="zeros",
            align_corners=False,
        )
        patients, shown = len(image), moved[:, : self.phases]
        size = (patients, self.phases, 1, 1, 1)
        contrast = 1 + self.settings.contrast * _between(draw, size, image).to(image.device)
        brightness = self.settings.brightness * _between(draw, size, image).to(image.device)
        changed = torch.where(shown == 0, shown, shown * contrast + brightness)  # what is not shown stays blank
        return torch.cat([changed, (moved[:, self.phases :] > 0.5).to(image.dtype)], dim=1)

    def _transforms(self, image: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
        """Patients × 3 × 4: from places in the new patch to places in the old, as affine_grid has them (x, y, z)."""
        patients = len(image)
        angles = torch.deg2rad(self.settings.rotation_degrees * _between(draw, (patients, 3), image))
        flips = torch.ones(patients, 3, dtype=image.dtype)
        if self.settings.flips:
            flips = flips - 2 * torch.randint(0, 2, (patients, 3), generator=draw).to(image.dtype)
        edges = torch.tensor(image.shape[2:][::-1], dtype=image.dtype)
        shifts = 2 * self.settings.shift_voxels * _between(draw, (patients, 3), image) / edges
        turned = torch.eye(3, dtype=image.dtype).expand(patients, 3, 3)
        for axis in range(3):
            turned = turned @ _turn(angles[:, axis], axis)
        turned = turned * (edges / edges[:, None])  # turns are in voxels, places in shares of an edge
        return torch.cat([turned * flips[:, None, :], shifts[:, :, None]], dim=2).to(image.device)


def _between(draw: torch.Generator, size: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Numbers from −1 to 1, drawn on the processor wherever the patches are: a GPU would draw others."""
    return (2 * torch.rand(size, generator=draw, dtype=torch.float64) - 1).to(like.dtype)


def _turn(angle: torch.Tensor, axis: int) -> torch.Tensor:
    """Rotations about one axis."""
    first, second = (k for k in range(3) if k != axis)
    matrix = torch.eye(3, dtype=angle.dtype).repeat(len(angle), 1, 1)
    matrix[:, first, first] = matrix[:, second, second] = torch.cos(angle)
    matrix[:, first, second] = -torch.sin(angle)
    matrix[:, second, first] = torch.sin(angle)
    return matrix
