"""Patches with a planted signal: fine texture in the ring tells the outcome, and nowhere else."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from common.networks.inputs import Inputs
from common.networks.shapes import Shapes

EDGE = 16
RING_VOXELS = 3.0
PARTS = {"clinical": (0, 1), "radiomics": (2, 3, 4)}


@dataclass(frozen=True)
class Planted:
    """Patients with patches, tables and outcomes; `masks` are tumour and ring."""

    inputs: Inputs
    outcome: torch.Tensor
    masks: np.ndarray

    def rows(self, chosen: slice) -> "Planted":
        return Planted(
            rows_of(self.inputs, torch.arange(len(self.outcome))[chosen]), self.outcome[chosen], self.masks[chosen]
        )


def rows_of(inputs: Inputs, chosen: torch.Tensor) -> Inputs:
    """Some of the patients, by number."""
    return Inputs(inputs.table[chosen], inputs.image[chosen], inputs.there[chosen])


def shapes_of(patients: Planted, table: bool = False) -> Shapes:
    edge = patients.inputs.image.shape[-1]
    return Shapes(voxels=(edge,) * 3, phases=1, masks=2, parts=PARTS if table else {})


def planted(patients: int, seed: int, edge: int = EDGE, strength: float = 2.5) -> Planted:
    """Outcomes follow the ring's texture (strongly), the first clinical column (a little) and nothing else."""
    rng = np.random.default_rng(seed)
    ring_factor, clinical = rng.normal(size=patients), rng.normal(size=(patients, 2))
    chance = 1 / (1 + np.exp(-strength * ring_factor - 0.5 * clinical[:, 0]))
    outcome = (rng.random(patients) < chance).astype(np.float32)
    images, masks = [], []
    for factor in ring_factor:
        tumour, ring = ball_and_ring(rng, edge)
        image = 0.15 * smooth(rng, edge) + 0.05 * rng.normal(size=(edge,) * 3)
        image += tumour * (0.4 + 0.3 * np.exp(0.5 * rng.normal()) * rng.normal(size=image.shape))
        image += ring * 0.25 * np.exp(0.9 * factor) * rng.normal(size=image.shape)
        images.append(np.clip(image, -1, 1))
        masks.append(np.stack([tumour, ring]))
    voxels = np.concatenate([np.array(images)[:, None], np.array(masks)], axis=1)
    radiomics = rng.normal(size=(patients, 3))
    radiomics[:, 0] += 0.7 * ring_factor
    return Planted(
        Inputs(
            torch.from_numpy(np.concatenate([clinical, radiomics], axis=1)).float(),
            torch.from_numpy(voxels).float(),
            torch.ones(patients, 1),
        ),
        torch.from_numpy(outcome),
        np.array(masks),
    )


def ball_and_ring(rng: np.random.Generator, edge: int) -> tuple[np.ndarray, np.ndarray]:
    radius = rng.uniform(edge / 6, edge / 4)
    axes = np.stack(np.meshgrid(*[np.arange(edge) - (edge - 1) / 2] * 3, indexing="ij"))
    away = np.linalg.norm(axes - rng.uniform(-1, 1, size=(3, 1, 1, 1)), axis=0)
    return away <= radius, (away > radius) & (away <= radius + RING_VOXELS)


def smooth(rng: np.random.Generator, edge: int) -> np.ndarray:
    field = gaussian_filter(rng.normal(size=(edge,) * 3), 2.0)
    return field / field.std()
