"""One synthetic patient in the CT scanner: two phases and the masks on their grid."""

from dataclasses import dataclass

import numpy as np

from deploy.simulation.images.anatomy import FINE, draw_anatomy
from deploy.simulation.images.enhancement import PHASES, draw_textures, enhanced
from deploy.simulation.images.fields import Axes, linear_weights, through
from deploy.simulation.images.scanner import Acquisition, grid_of, scan
from deploy.simulation.images.tumours import draw_tumours
from deploy.simulation.radiomics import SHAPE
from deploy.simulation.synthesis import Hospital, Setting, generator

FARTHEST = 2.5
LIVER_BESIDE_MM = 2.0
"""A tumour on the liver's surface has this much liver around it."""


@dataclass(frozen=True)
class PatientImages:
    """Volumes (z, y, x) on one grid.

    Parameters
    ----------
    phases
        Hounsfield units by phase.
    masks
        0 and 1: tumour, tumour_2 …, liver (with its tumours), vessels (without).
    """

    axes: Axes
    phases: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]


def planted_shape(hospital: Hospital, patient: int) -> dict[str, float]:
    """The shape features of a patient's largest tumour, as they are in truth/."""
    return dict(zip(SHAPE, hospital.clean[patient, : len(SHAPE)].tolist(), strict=True))


def planted_factors(hospital: Hospital, patient: int) -> dict[str, float]:
    """The latent factors of a patient, bounded so that no image looks impossible."""
    factors = hospital.factors_by_name.items()
    return {name: float(np.clip(values[patient], -FARTHEST, FARTHEST)) for name, values in factors}


def draw_ct(
    setting: Setting, place: int, hospital: Hospital, patient: int, acquisition: Acquisition
) -> PatientImages:
    """A patient's images; they depend on the seed, the place and the patient's own values alone."""
    rng = generator(setting.seed, "image", place, patient)
    size_mm = float(hospital.clinic["tumour_size_mm"][patient])
    number = int(hospital.clinic["tumour_number"][patient])
    factors = planted_factors(hospital, patient)
    anatomy = draw_anatomy(rng)
    tumours = draw_tumours(rng, anatomy, size_mm, number, planted_shape(hospital, patient))
    textures = draw_textures(rng, tumours, factors)
    own_late = float(rng.normal(0, 0.5))
    nearest = np.minimum.reduce([tumour.level for tumour in tumours])
    liver = np.minimum(anatomy.liver, nearest - LIVER_BESIDE_MM)
    axes = grid_of(acquisition)
    onto = [linear_weights(to, of) for to, of in zip(axes, FINE, strict=True)]

    def mask(level: np.ndarray) -> np.ndarray:
        return (through(level, onto) < 0).astype(np.uint8)

    masks = {f"tumour_{n}" if n > 1 else "tumour": mask(tumour.level) for n, tumour in enumerate(tumours, 1)}
    masks |= {"liver": mask(liver), "vessels": mask(np.maximum.reduce([anatomy.vessels, liver, 1 - nearest]))}
    phases = {
        phase.name: scan(
            enhanced(anatomy, liver, tumours, factors, textures, phase, acquisition.late + own_late),
            acquisition,
            rng,
        )
        for phase in PHASES
    }
    return PatientImages(axes, phases, masks)
