"""Checking masks against their image and against each other, and rings against what they should hold."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from client.cohort.findings import Findings, Severity
from client.cohort.image_names import CT, MR, is_first_reader, region_of
from client.cohort.patient_images import Phase

AIR_HU = -300.0
BONE_HU = 300.0
_AIR_SHARE = 0.05
_BONE_SHARE = 0.10
_PLAUSIBLE_LIVER_CM3 = (300.0, 6000.0)
_LARGEST_TUMOUR_CM3 = 4000.0
_SPECK_SHARE = 0.05


def check_masks(phase: Phase, minimum_voxels: int, findings: Findings) -> None:
    """Every mask of a phase."""
    for name in phase.masks:
        _check_mask(phase, name, minimum_voxels, findings)
    if "liver" in phase.masks:
        for tumour in phase.tumours:
            _check_in_liver(phase, tumour, findings)
    _check_lesions_apart(phase, findings)


def _voxels(mask: sitk.Image) -> np.ndarray:
    return sitk.GetArrayViewFromImage(mask) > 0


def _check_mask(phase: Phase, name: str, minimum_voxels: int, findings: Findings) -> None:
    marked = _voxels(phase.masks[name])
    count = int(marked.sum())
    place = f"{phase.name}, {name}"
    box = ndimage.find_objects(marked.astype(np.uint8))[0]
    volume_cm3 = count * float(np.prod(phase.spacing_mm)) / 1000
    if region_of(name) == "tumour" and count < minimum_voxels:
        severity = Severity.STOPS if is_first_reader(name) else Severity.LOOK
        findings.add(
            place,
            "tiny region",
            f"{count} voxels are marked, {minimum_voxels} are needed",
            "leave the lesion out, or use a finer reconstruction",
            severity,
        )
    if region_of(name) in ("tumour", "liver"):
        _check_parts(place, marked[box], region_of(name), findings)
    if region_of(name) == "tumour":
        _check_edges(place, box, marked.shape, findings)
        if marked.ndim == 3 and marked.shape[0] > 1 and box[0].stop - box[0].start == 1:
            findings.look(
                place,
                "one slice marked",
                f"only slice {box[0].start + 1} of {marked.shape[0]} is marked",
                "mark the whole lesion; shape and rings are those of a disc otherwise",
            )
        if marked.ndim == 3 and volume_cm3 > _LARGEST_TUMOUR_CM3:
            findings.look(place, "volume", f"a tumour of {volume_cm3:,.0f} cm³", "check spacing and mask")
    low, high = _PLAUSIBLE_LIVER_CM3
    if name == "liver" and marked.ndim == 3 and not low <= volume_cm3 <= high:
        findings.look(
            place,
            "volume",
            f"a liver of {volume_cm3:,.0f} cm³",
            "check that the whole liver is marked, and spacing",
        )


def _check_parts(place: str, marked: np.ndarray, region: str, findings: Findings) -> None:
    labelled, parts = ndimage.label(marked, structure=np.ones((3,) * marked.ndim))
    if parts == 1:
        return
    sizes = np.sort(np.bincount(labelled.ravel())[1:])[::-1]
    shown = ", ".join(f"{size:,}" for size in sizes[:5]) + (" …" if parts > 5 else "")
    if region == "liver" and sizes[1] < _SPECK_SHARE * sizes[0]:
        return
    if sizes[1] < _SPECK_SHARE * sizes[0]:
        cure = "delete the specks"
    elif region == "liver":
        cure = "check the mask"
    else:
        cure = "number separate lesions (tumour, tumour_2), or fill the gap"
    findings.look(place, "disconnected parts", f"the mask has {parts} parts ({shown} voxels)", cure)


def _check_edges(place: str, box: tuple[slice, ...], shape: tuple[int, ...], findings: Findings) -> None:
    names = ("slices", "rows", "columns")[-len(shape) :]
    cut = [
        name
        for name, part, length in zip(names, box, shape, strict=True)
        if length > 1 and (part.start == 0 or part.stop == length)
    ]
    if cut:
        findings.look(
            place,
            "cut off",
            f"the mask reaches the image's first or last {' and '.join(cut)}",
            "lesion and ring are cut off there; use a series that covers them",
        )


def _check_in_liver(phase: Phase, tumour: str, findings: Findings) -> None:
    marked, liver = _voxels(phase.masks[tumour]), _voxels(phase.masks["liver"])
    both = np.count_nonzero(marked & liver)
    outside = 1 - both / np.count_nonzero(marked)
    place = f"{phase.name}, {tumour}"
    if np.array_equal(marked, liver):
        findings.add(
            place, "same mask twice", "tumour and liver are the same mask", "put the right mask into each file"
        )
    elif both == 0:
        findings.add(
            place,
            "tumour outside the liver",
            "the tumour lies wholly outside the liver's mask",
            "check for a flip (left and right, or head and feet) and for masks of another patient",
        )
    elif outside > 0.2:
        findings.look(
            place,
            "tumour outside the liver",
            f"{outside:.0%} of the tumour lie outside the liver's mask",
            "let the liver's mask include the tumour, or check both",
        )


def _check_lesions_apart(phase: Phase, findings: Findings) -> None:
    lesions = phase.tumours
    for index, first in enumerate(lesions):
        for second in lesions[index + 1 :]:
            a, b = _voxels(phase.masks[first]), _voxels(phase.masks[second])
            shared = np.count_nonzero(a & b)
            if shared == 0:
                continue
            place = f"{phase.name}, {second}"
            share = shared / min(np.count_nonzero(a), np.count_nonzero(b))
            if share == 1:
                findings.add(
                    place,
                    "same mask twice",
                    f"{second} lies wholly in {first}",
                    "keep one of the two, or draw them apart",
                )
            else:
                findings.look(
                    place, "lesions overlap", f"{second} and {first} share {shared:,} voxels", "draw them apart"
                )


def check_ring(patient: str, phase: Phase, tumour: str, ring: sitk.Image, ring_mm: float) -> Findings:
    """What a ring holds that is not liver: nothing, air, bone or the table.

    Parameters
    ----------
    ring
        0 and 1 on the image's grid, before air and bone are taken out.
    """
    findings = Findings(patient)
    place = f"{phase.name}, {tumour}, ring {ring_mm:g} mm"
    marked = _voxels(ring)
    if not marked.any():
        findings.add(
            place,
            "empty ring",
            "the ring holds no voxel",
            "check the liver's mask (is the tumour inside it?) and the other lesions'",
        )
        return findings
    inside = sitk.GetArrayViewFromImage(phase.image)[marked].astype(np.float64)
    if phase.modality == CT:
        air, bone = float((inside < AIR_HU).mean()), float((inside > BONE_HU).mean())
        if air > _AIR_SHARE:
            findings.look(
                place,
                "air in the ring",
                f"{air:.0%} of it are below {AIR_HU:.0f} HU: lung, gas, or air and table beside the patient",
                "give the liver's mask so that the ring is cut there, or check the tumour's",
            )
        if bone > _BONE_SHARE:
            findings.look(
                place,
                "bone or metal in the ring",
                f"{bone:.0%} of the ring are above {BONE_HU:.0f} HU: rib, table, lipiodol or metal",
                "give the liver's mask so that the ring is cut there, or check the tumour's",
            )
    elif phase.modality == MR and tumour in phase.masks:
        reference = float(np.median(sitk.GetArrayViewFromImage(phase.image)[_voxels(phase.masks[tumour])]))
        dark = float((np.abs(inside) < 0.02 * abs(reference)).mean())
        if reference > 0 and dark > _AIR_SHARE:
            findings.look(
                place,
                "air in the ring",
                f"{dark:.0%} of the ring are as dark as the background: lung, bowel gas, or air beside the patient",
                "give the liver's mask so that the ring is cut there, or check the tumour's",
            )
    return findings
