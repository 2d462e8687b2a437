"""Checking a patient's images before anything is computed: every fault with its cure; nothing is changed.

PyRadiomics accepts in silence NaN in the region, HU shifted by 1024, a constant image, an image from 0 to 1 with a
bin width of 25; a 16-bit MR image with a bin width of 25 keeps it busy for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from client.cohort import phase_checks, region_checks
from client.cohort.findings import Finding, Findings, Severity
from client.cohort.image_names import CT, PT, US
from client.cohort.patient_images import PatientImages, Phase
from common.features import Features

MOST_BINS = 1024
_FEWEST_BINS = 4
_WATER_TO_STORED = 1024  # what scanners add to HU before they store them
_ADC_UNIT = "10⁻⁶ mm²/s"


@dataclass(frozen=True)
class Limits:
    """What a study needs of an image.

    Parameters
    ----------
    rings_mm
        The widths of its peritumoural rings.
    bin_widths
        By phase, where it discretises by a fixed width and neither normalises nor clips first.
    most_bins
        A region with more grey levels is not computed.
    """

    rings_mm: tuple[float, ...] = ()
    minimum_voxels: int = 64
    bin_widths: Mapping[str, float] = field(default_factory=dict)
    most_bins: int = MOST_BINS


def limits_of(features: Features) -> Limits:
    """What a study's section `features` asks of an image."""
    return Limits(
        rings_mm=tuple(sorted({*features.ring_mm, *features.band_mm})),
        minimum_voxels=features.minimum_voxels,
        bin_widths={
            features.image_names()[name]: float(phase.bins["binWidth"])
            for name, phase in features.phases.items()
            if "binWidth" in phase.bins
            and phase.norm == "none"
            and phase.window_hu is None
            and phase.keep_range is None
            and phase.keep_sigmas is None
        },
        most_bins=features.maximum_bins,
    )


def check_images(patient: PatientImages, limits: Limits | None = None) -> tuple[Finding, ...]:
    """Every finding about images that could be read; those from reading them are in `patient.findings`."""
    limits = limits or Limits()
    findings = Findings(patient.patient)
    for phase in patient.phases.values():
        _check_values(phase, findings)
        _check_spacing(phase, limits, findings)
        region_checks.check_masks(phase, limits.minimum_voxels, findings)
        for tumour in phase.tumours:
            _check_in_tumour(phase, tumour, limits, findings)
    phase_checks.check_phases(patient, findings)
    return findings.all()


def _check_values(phase: Phase, findings: Findings) -> None:
    voxels = sitk.GetArrayViewFromImage(phase.image)
    missing = int((~np.isfinite(voxels)).sum()) if voxels.dtype.kind == "f" else 0
    if missing == voxels.size:
        findings.add(phase.name, "NaN", "no voxel of the image is a number", "export the image again")
        return
    if missing:
        inside = sum(
            int((~np.isfinite(voxels[sitk.GetArrayViewFromImage(mask) > 0])).sum())
            for mask in phase.masks.values()
        )
        found = f"{missing:,} voxels are no number (NaN), {inside:,} of them in the masks"
        if inside:
            findings.add(phase.name, "NaN", found, "export or convert the image again")
        else:
            findings.look(
                phase.name, "NaN", found, "rings that reach them would be spoilt; convert the image again"
            )
    low, high = _range(voxels)
    if low == high:
        findings.add(
            phase.name, "constant image", f"every voxel of the image is {low:g}", "export the image again"
        )
    elif low >= 0 and high <= 1:
        found = f"the image runs from {low:g} to {high:g}: it was scaled, and its units are lost"
        cure = "use the image as the scanner made it"
        if phase.modality == CT:
            findings.add(phase.name, "scaled image", found, f"{cure}, in HU")
        else:
            findings.look(phase.name, "scaled image", found, cure)
    elif phase.modality == CT and low >= 0 and high <= 255:
        findings.add(
            phase.name,
            "scaled image",
            f"the CT runs from {low:g} to {high:g}: grey values of a screen, not HU",
            "export the original series, not pictures",
        )
    elif phase.modality == PT and high > 200:
        findings.look(
            phase.name,
            "PET units",
            f"the PET runs up to {high:,.0f}: not SUV",
            "save it in SUVbw, or give the DICOM series",
        )


def _range(voxels: np.ndarray) -> tuple[float, float]:
    if voxels.dtype.kind == "f":
        voxels = voxels[np.isfinite(voxels)]
    return float(voxels.min()), float(voxels.max())


def _check_spacing(phase: Phase, limits: Limits, findings: Findings) -> None:
    steps = phase.spacing_mm
    shown = "×".join(f"{step:.4g}" for step in steps)
    if min(steps) < 0.02 or max(steps) > 50:
        findings.add(phase.name, "spacing", f"voxels of {shown} mm cannot be right", "correct the header")
        return
    if abs(steps[0] - steps[1]) > 0.05 * steps[0] or max(steps[:2]) > 5:
        findings.look(
            phase.name,
            "spacing",
            f"pixels of {shown} mm in the plane are unusual",
            "check the header, and the plane",
        )
    lost = all(step == 1 for step in steps) and not any(phase.image.GetOrigin())
    if lost:
        findings.look(
            phase.name,
            "spacing",
            f"voxels of exactly {shown} mm from the origin 0: the header was probably lost",
            "convert the image again with its geometry, and the masks with it",
        )
    if len(steps) < 3:
        return
    if phase.image.GetSize()[2] == 1 and phase.modality != US:
        findings.look(
            phase.name,
            "one slice",
            "the image is a single slice",
            "shape and rings need the volume: export all slices",
        )
    narrow = [width for width in limits.rings_mm if steps[2] > width]
    if narrow:
        widths = ", ".join(f"{width:g}" for width in narrow)
        findings.look(
            phase.name,
            "slices thicker than the ring",
            f"slices {steps[2]:.3g} mm apart, rings {widths} mm wide: above and below the tumour the ring is guessed",
            "use a thinner reconstruction, or wider rings in the study",
        )
    elif steps[2] > 10:
        findings.look(phase.name, "spacing", f"slices {steps[2]:.3g} mm apart", "use a thinner reconstruction")


def _check_in_tumour(phase: Phase, tumour: str, limits: Limits, findings: Findings) -> None:
    inside = sitk.GetArrayViewFromImage(phase.image)[sitk.GetArrayViewFromImage(phase.masks[tumour]) > 0]
    inside = inside[np.isfinite(inside)].astype(np.float64)
    place = f"{phase.name}, {tumour}"
    if not inside.size:
        return
    low, high, median = float(inside.min()), float(inside.max()), float(np.median(inside))
    if low == high:
        findings.add(
            place, "constant region", f"all {inside.size:,} voxels are {low:g}", "check that image and mask fit"
        )
        return
    if phase.modality == CT:
        _check_hounsfield(phase, place, median, findings)
    elif phase.name.startswith("adc") and not 100 <= median <= 5000:
        findings.look(
            place,
            "ADC units",
            f"the median is {median:.4g}, not some 500 to 3,000 {_ADC_UNIT}",
            f"save it in {_ADC_UNIT}",
        )
    if phase.name in limits.bin_widths:
        width = limits.bin_widths[phase.name]
        bins = (high - low) / width
        found = f"values from {low:g} to {high:g} make {bins:,.1f} bins of {width:g}"
        if bins > limits.most_bins:
            findings.add(
                place,
                "too many bins",
                f"{found}, at most {limits.most_bins:,} can be computed",
                "let the study normalise, or use a bin count",
            )
        elif bins < _FEWEST_BINS:
            findings.add(
                place,
                "too few bins",
                f"{found}: {'no texture is left' if bins < 1 else 'little texture is left'}",
                "check the image's units, or use a bin count",
                Severity.STOPS if bins < 1 else Severity.LOOK,
            )


def _check_hounsfield(phase: Phase, place: str, median: float, findings: Findings) -> None:
    lowest, _ = _range(sitk.GetArrayViewFromImage(phase.image))
    liver = phase.masks.get("liver")
    if liver is not None:
        voxels = sitk.GetArrayViewFromImage(phase.image)[sitk.GetArrayViewFromImage(liver) > 0]
        median, what = float(np.nanmedian(voxels)), "the liver's"
    else:
        what = "the tumour's"
    cure = f"apply the DICOM tag RescaleIntercept (usually −{_WATER_TO_STORED}) once, or convert the series again"
    if 850 <= median <= 1400 and (lowest >= -200 or liver is not None):
        found = f"{what} median is {median:,.0f} HU and the image's lowest value {lowest:,.0f}: shifted by +1024?"
        findings.add(place, "HU offset", found, cure)
    elif median < -700:
        found = f"{what} median is {median:,.0f} HU: shifted by −1024, or the mask lies in air"
        findings.add(place, "HU offset", found, f"{cure}; look at the picture")
    elif not -100 <= median <= 450:
        found = f"{what} median is {median:,.0f} HU, unlike liver or tumour"
        findings.look(place, "HU", found, "look at the picture: lipiodol, metal, or a misplaced mask?")
