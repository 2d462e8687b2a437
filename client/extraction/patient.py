"""One patient's images and masks to rows of features."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import SimpleITK as sitk

from client.extraction.classes import intensity_features, shape_features
from client.extraction.comparisons import compare
from client.extraction.filters import filtered, reach
from client.preprocessing import (
    CannotExtract,
    Grid,
    Image,
    check_same_grid,
    inside,
    like,
    prepare,
    resample_mask,
    resegment,
)
from client.regions import Lesion, Masks, Region, build_regions, lesions_of, same_lesions
from common.features import Features, Phase


@dataclass(frozen=True)
class PhaseImages:
    """One phase of a patient: its image and the masks on its grid."""

    image: Image
    masks: Masks


@dataclass(frozen=True)
class RegionRecord:
    """What a region came out as: for the hospital's own check, never sent."""

    phase: str
    lesion: int
    region: str
    voxels: int
    volume_mm3: float
    kept: float
    excluded: dict[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """The features of one lesion (0: all tumours merged), named <phase>_<region>_<filter>_<class>_<feature>."""

    lesion: int
    values: dict[str, float]


@dataclass(frozen=True)
class Extraction:
    """A patient's features: one row, or a row each lesion; NaN is a feature that is not defined here."""

    rows: list[Row]
    regions: list[RegionRecord] = field(default_factory=list)


def extract(images: Mapping[str, PhaseImages], features: Features) -> Extraction:
    """The features of one patient; CannotExtract says what is wrong with an image or mask, and in which phase."""
    if missing := [phase for phase in features.phases if phase not in images]:
        raise CannotExtract(f"there is no image of {', '.join(missing)}: add it, or leave the patient out")
    lesions: dict[str, list[Lesion]] = {}
    values: dict[int, dict[str, float]] = {}
    records: list[RegionRecord] = []
    for name, phase in features.phases.items():
        try:
            lesions[name] = _lesions(images[name], features, next(iter(lesions.values()), None))
            for number, region_of, found in _extract_phase(images[name], lesions[name], features, phase):
                values.setdefault(number, {}).update({f"{name}_{key}": value for key, value in found.items()})
                records += [
                    RegionRecord(name, number, r.name, r.voxels, r.volume_mm3, r.kept, r.excluded, r.notes)
                    for r in region_of
                ]
        except CannotExtract as fault:
            raise CannotExtract(f"{name}: {fault}") from None
    return Extraction([Row(number, row | compare(row, features)) for number, row in values.items()], records)


def one_thread() -> None:
    """For worker processes: ITK and OpenMP keep to one thread, so that processes do not fight over cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _lesions(given: PhaseImages, features: Features, first_phase: list[Lesion] | None) -> list[Lesion]:
    masks = given.masks
    named = [("tumour", mask) for mask in masks.tumours] + [("liver", masks.liver), ("vessels", masks.vessels)]
    for name, mask in named:
        if mask is not None:
            check_same_grid(given.image, mask, name)
    if masks.liver is None and features.needs_liver():
        raise CannotExtract(
            "the study asks for the liver (a region, clip_to_liver or normalise_over) and there is no mask of it: "
            "give liver.nii.gz, or leave the patient out"
        )
    if first_phase is None:
        return lesions_of(masks, features.lesions)
    every = lesions_of(masks, "merged" if features.lesions == "merged" else "each")
    return same_lesions(first_phase, every)


def _extract_phase(
    given: PhaseImages, lesions: list[Lesion], features: Features, phase: Phase
) -> list[tuple[int, list[Region], dict[str, float]]]:
    """Number, regions and features of every lesion of one phase."""
    image = prepare(given.image, phase, _working_grid(given, lesions, features, phase), _background(given))
    slice_mm = max(given.image.GetSpacing())
    regions = {
        lesion.number: build_regions(lesion, given.masks, image, features, phase, slice_mm) for lesion in lesions
    }
    every = [region for found in regions.values() for region in found]
    values = _features_of(image, every, features, phase)
    return [
        (number, found, {key: v for region in found for key, v in values[id(region)].items()})
        for number, found in regions.items()
    ]


def _features_of(
    image: Image, regions: list[Region], features: Features, phase: Phase
) -> dict[int, dict[str, float]]:
    """Every region's features, by the region's identity; each filter runs once for all regions."""
    found: dict[int, dict[str, float]] = {id(region): {} for region in regions}
    counted = {id(region): _counted(image, region, features, phase) for region in regions}
    if "shape" in features.classes:
        for region in regions:
            shapes = shape_features(region.mask)
            found[id(region)].update({f"{region.name}_original_{key}": v for key, v in shapes.items()})
    for filter_name, filtered_image in filtered(image, regions, features):
        grid = Grid.of(filtered_image)
        for region in regions:
            mask = resample_mask(counted[id(region)], grid)
            try:
                values = intensity_features(filtered_image, mask, filter_name, features, phase)
            except CannotExtract as fault:
                raise CannotExtract(f"{region.name}: {fault}") from None
            found[id(region)].update({f"{region.name}_{filter_name}_{key}": v for key, v in values.items()})
    return found


def _counted(image: Image, region: Region, features: Features, phase: Phase) -> Image:
    """The voxels of a region whose intensities count."""
    mask = resegment(image, region.mask, phase)
    left = int(inside(mask).sum())
    if left < features.minimum_voxels:
        raise CannotExtract(
            f"{region.name} has {left} of {region.voxels} voxels left after keep_range and keep_sigmas, "
            f"{features.minimum_voxels} are asked for (minimum_voxels): check intensities, or leave the patient out"
        )
    return mask


def _working_grid(given: PhaseImages, lesions: list[Lesion], features: Features, phase: Phase) -> Grid:
    """The part of the resampled image that regions and filters look at."""
    shown = lesions[0].mask
    for lesion in lesions[1:]:
        shown = shown | lesion.mask
    if {"liver", "liver-background"} & set(features.regions) and given.masks.liver is not None:
        shown = shown | given.masks.liver
    margin_mm, margin_voxels = reach(features)
    rings_mm = max((*features.ring_mm, *features.band_mm), default=0.0)
    whole = Grid.of(given.image).with_spacing(phase.spacing)
    return whole.around(shown, margin_mm, margin_voxels + 1, rings_mm)


def _background(given: PhaseImages) -> Image | None:
    """The liver without tumours."""
    if given.masks.liver is None:
        return None
    background = inside(given.masks.liver).copy()
    for tumour in given.masks.tumours:
        background &= ~inside(tumour)
    return like(background, given.masks.liver)
