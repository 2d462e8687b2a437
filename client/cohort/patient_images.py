"""A patient's images as the rest of the hospital's side sees them: phases, masks on their grids, findings."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from client.cohort.findings import Finding
from client.cohort.grids import Grid
from client.cohort.image_names import is_first_reader, region_of
from client.cohort.provenance import Value

AFTER_FIRST = "SecondsAfterFirstPhase"


@dataclass(frozen=True, eq=False)
class Phase:
    """One image of a patient and the masks on its grid.

    Parameters
    ----------
    image
        Scalar, 3-D; true 2-D for ultrasound. CT in HU, PET in SUVbw.
    modality
        CT, MR, US, PT; empty where nothing tells.
    masks
        tumour, tumour_2, liver, vessels, tumour_reader2 … → 0 and 1 on the image's grid.
    drawn_here
        The masks that were drawn on this very phase; the others are for all phases.
    provenance
        Allow-listed tags: how the image was made, nothing about the patient.
    """

    name: str
    image: sitk.Image
    modality: str
    masks: dict[str, sitk.Image] = field(default_factory=dict)
    drawn_here: frozenset[str] = frozenset()
    provenance: dict[str, Value] = field(default_factory=dict)

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Voxel size, x first."""
        return tuple(self.image.GetSpacing())

    @property
    def tumours(self) -> list[str]:
        """The first reader's lesions, in the order of their numbers."""
        lesions = [mask for mask in self.masks if region_of(mask) == "tumour" and is_first_reader(mask)]
        return sorted(lesions, key=lambda mask: int(mask.partition("_")[2] or 1))

    @property
    def digest(self) -> str:
        """SHA-256 of the image's grid and voxels."""
        return content_digest(self.image)

    @property
    def seconds_after_first(self) -> float | None:
        """When it was taken, after the patient's first phase; None where the files do not tell."""
        value = self.provenance.get(AFTER_FIRST)
        return value if isinstance(value, float) else None


@dataclass(frozen=True, eq=False)
class PatientImages:
    """What a patient's folder holds, read; `findings` says what is missing in it and why."""

    patient: str
    phases: dict[str, Phase]
    findings: tuple[Finding, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of every image and mask, by name."""
        total = hashlib.sha256()
        for name, phase in sorted(self.phases.items()):
            total.update(f"{name}\0{phase.digest}\n".encode())
            for mask, image in sorted(phase.masks.items()):
                total.update(f"{name}\0{mask}\0{content_digest(image)}\n".encode())
        return total.hexdigest()


def content_digest(image: sitk.Image, *, with_grid: bool = True) -> str:
    """SHA-256 of an image's voxels as float64, and of its grid; the file's format does not matter."""
    total = hashlib.sha256()
    if with_grid:
        grid = Grid.of(image)
        numbers = [*grid.size, *grid.spacing_mm, *grid.origin_mm, *grid.direction]
        total.update(np.asarray(numbers, dtype="<f8").tobytes())
    for plane in np.atleast_3d(sitk.GetArrayViewFromImage(image)):
        total.update(np.ascontiguousarray(plane, dtype="<f8").tobytes())
    return total.hexdigest()
