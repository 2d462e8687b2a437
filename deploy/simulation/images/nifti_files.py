"""A synthetic patient as NIfTI files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from client.cohort.provenance import Value, write_sidecar
from deploy.simulation.images.identity import SYNTHETIC, Who
from deploy.simulation.images.patient_ct import PatientImages
from deploy.simulation.images.scanner import Acquisition


def write_nifti(folder: Path, _: Who, images: PatientImages, acquisition: Acquisition) -> None:
    """arterial.nii.gz, portal.nii.gz with what a header would tell, and the masks."""
    folder.mkdir(parents=True)
    for name, voxels in {**images.phases, **images.masks}.items():
        write_volume(folder / f"{name}.nii.gz", voxels, images.axes.spacing_mm, images.axes.origin_mm)
    for name in images.phases:
        tags: dict[str, Value] = {
            "Modality": "CT",
            "SliceThickness": acquisition.slice_mm,
            "ConvolutionKernel": acquisition.kernel,
        }
        write_sidecar(folder / f"{name}.json", tags)


def write_volume(path: Path, voxels: np.ndarray, spacing_mm: Sequence[float], origin_mm: Sequence[float]) -> None:
    """One file, of two or three dimensions; it says that it is synthetic."""
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing_mm)
    image.SetOrigin(origin_mm)
    image.SetMetaData("ITK_FileNotes", SYNTHETIC)
    sitk.WriteImage(image, str(path), useCompression=True)
