"""NIfTI and NRRD files in: images as they are, masks as 0 and 1."""

import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from client.cohort.findings import ImageFault
from client.cohort.grids import Grid
from client.cohort.nifti_files import voxels_without_number

ENDINGS = (".nii.gz", ".nii", ".nrrd")
_LARGEST_VOXELS = 2**31  # 1,024 slices of 1,448 × 1,448; a header that asks for more is broken

sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters is said by our own findings


def stem(path: Path) -> str | None:
    """'arterial' of arterial.nii.gz; None where the file is neither NIfTI nor NRRD."""
    name = path.name.casefold()
    for ending in ENDINGS:
        if name.endswith(ending):
            return name[: -len(ending)]
    return None


def read_image(path: Path) -> sitk.Image:
    """A scalar image of two or three dimensions.

    Raises
    ------
    ImageFault
        If the file cannot be read, or is not one scalar image.
    """
    if path.stat().st_size == 0:
        raise ImageFault("unreadable file", "the file is empty (0 bytes)", "copy or export it again")
    odd = voxels_without_number(path) if ".nii" in path.name.casefold() else np.empty(0, dtype=np.int64)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size = reader.GetSize()
        _check_header(size, reader.GetNumberOfComponents())
        image = reader.Execute()
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise _unreadable(path, str(error)) from None
    if image.GetDimension() == 4:  # one time point: the same image
        image = image[:, :, :, 0]
    if odd.size:
        voxels = sitk.GetArrayFromImage(image)
        voxels.flat[odd] = np.nan
        image = Grid.of(image).image(voxels)
    return image


def _check_header(size: tuple[int, ...], components: int) -> None:
    if components != 1:
        colour = " (colour)" if components in (3, 4) else ""
        raise ImageFault(
            "not scalar",
            f"{components} values a voxel{colour} instead of one",
            "save the grey image alone, one value a voxel",
        )
    if len(size) > 3 and any(length > 1 for length in size[3:]):
        raise ImageFault(
            "4-D",
            f"the image has {len(size)} dimensions ({'×'.join(map(str, size))})",
            "save each phase, b value or time point as a file of its own",
        )
    if math.prod(size) > _LARGEST_VOXELS:
        raise ImageFault(
            "unreadable file",
            f"the header asks for {'×'.join(map(str, size))} voxels",
            "the file is broken; export it again",
        )
    if min(size) < 1:
        raise ImageFault("unreadable file", "the header says the image is empty", "export it again")


def _unreadable(path: Path, error: str) -> ImageFault:
    if "orthonormal" in error:
        return ImageFault(
            "sheared grid",
            "the image's axes are not at right angles (gantry tilt or a sheared affine)",
            "resample it to a rectangular grid, or export the series with the tilt corrected",
        )
    last = error.strip().splitlines()[-1].strip() if error.strip() else "no reason given"
    said = last.removeprefix("sitk::ERROR: ").replace(str(path), path.name).replace(str(path.parent), "")[-160:]
    return ImageFault("unreadable file", f"the file cannot be read ({said})", "copy or export it again")


def read_masks(path: Path, labels: dict[int, str] | None) -> dict[str, sitk.Image]:
    """The masks of a file: one, named '' here, or one a label.

    Parameters
    ----------
    labels
        What the numbers mean, where the file holds several masks; other numbers are other organs, not read.

    Raises
    ------
    ImageFault
        If the file holds anything but masks.
    """
    image = read_image(path)
    voxels = sitk.GetArrayViewFromImage(image)
    grid = Grid.of(image)
    values = _whole_values(voxels)
    if labels is None:
        if len(values) > 1:
            pairs = ", ".join(
                f"{value}: {'tumour' if i == 0 else f'tumour_{i + 1}'}" for i, value in enumerate(values)
            )
            raise ImageFault(
                "several labels",
                f"one mask was expected, but the file holds the labels {_few(values)}",
                f"say in images.yaml what they mean, e.g. labels: {{{path.name.split('.')[0]}: {{{pairs}}}}}",
            )
        return {"": grid.image((voxels != 0).astype(np.uint8))}
    if not set(values) & set(labels):
        raise ImageFault(
            "several labels",
            f"the file holds the labels {_few(values)}, none of which images.yaml knows",
            f"name them under labels: in images.yaml (known there: {', '.join(map(str, labels))})",
        )
    masks: dict[str, np.ndarray] = {}
    for label, mask in labels.items():
        found = voxels == label
        masks[mask] = masks[mask] | found if mask in masks else found
    return {mask: grid.image(found.astype(np.uint8)) for mask, found in masks.items() if found.any()}


def _few(values: list[int]) -> str:
    more = f" and {len(values) - 8} more" if len(values) > 8 else ""
    return ", ".join(map(str, values[:8])) + more


def _whole_values(voxels: np.ndarray) -> list[int]:
    """The labels of a mask other than 0."""
    if voxels.dtype.kind == "f":
        if not np.isfinite(voxels).all():
            count = int((~np.isfinite(voxels)).sum())
            raise ImageFault(
                "NaN in a mask", f"the mask holds {count:,} voxels that are no number", "save it as 0 and 1"
            )
        fractions = voxels[voxels != np.rint(voxels)]
        if fractions.size:
            raise ImageFault(
                "fractional mask",
                f"the mask holds fractions ({fractions.size:,} voxels, e.g. {float(fractions[0]):.4g}): "
                "a map of probabilities, or a resampled mask",
                "threshold it at 0.5 and save it as 0 and 1",
            )
    values = [int(value) for value in np.unique(voxels) if value != 0]
    if not values:
        raise ImageFault(
            "empty mask", "the mask is empty: no voxel is marked", "draw it, or delete the file if there is none"
        )
    if len(values) > 255:
        raise ImageFault(
            "not a mask",
            f"the file holds {len(values):,} different values from {values[0]} to {values[-1]}: an image, not a mask",
            "check that image and mask are not swapped",
        )
    return values


def flat(image: sitk.Image) -> sitk.Image:
    """A volume of one slice as a true 2-D image: PyRadiomics loses LoG on a slice that calls itself 3-D."""
    if image.GetDimension() == 2:
        return image
    if image.GetSize()[2] != 1:
        raise ImageFault(
            "cine",
            f"an ultrasound image of {image.GetSize()[2]} frames or slices",
            "save the chosen frame alone",
        )
    plane = sitk.GetImageFromArray(sitk.GetArrayFromImage(image)[0])
    plane.SetSpacing(image.GetSpacing()[:2])
    plane.SetOrigin(image.GetOrigin()[:2])
    return plane
