"""One patient's images and masks to rows of features."""

import os
from collections.abc import Mapping

import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid
from client.extraction.classes import intensity_features, shape_features
from client.extraction.comparisons import compare
from client.extraction.filters import filtered, reach
from client.extraction.habitats import HabitatMap, habitat_maps
from client.extraction.lesions_by_phase import lesions_by_phase
from client.extraction.names import feature_names
from client.extraction.phase_images import PhaseImages, with_masks
from client.extraction.results import Extraction, RegionRecord, Row
from client.preprocessing import Image, inside, prepare, resample_mask, resegment
from client.regions import Lesion, Region, build_regions
from common.features import Features, Phase


def extract(images: Mapping[str, PhaseImages], features: Features) -> Extraction:
    """The features of one patient; CannotExtract says what is wrong with an image or mask, and in which phase.

    Every row has the names of ``feature_names(features)``, whichever phases and lesions there are.

    Parameters
    ----------
    images
        By phase. A phase that the study does not compute may be among them, as the one that masks were drawn on.
    """
    names = feature_names(features)
    present = with_masks(images, features)
    lesions = lesions_by_phase(present, features)
    habitats = habitat_maps(present, lesions, features)
    values: dict[int, dict[str, float]] = {}
    records: list[RegionRecord] = []
    for name, given in present.items():
        try:
            found = _extract_phase(given, lesions[name], habitats, features, features.phases[name])
        except CannotExtract as fault:
            raise CannotExtract(f"{name}: {fault}") from None
        for number, regions, computed in found:
            values.setdefault(number, {}).update({f"{name}_{key}": value for key, value in computed.items()})
            records += [_record(name, number, region, given) for region in regions]
    for number, divided in habitats.items():
        values[number].update(divided.shares(features))
    return Extraction([Row(number, _in_order(row, names, features)) for number, row in values.items()], records)


def _in_order(row: dict[str, float], names: list[str], features: Features) -> dict[str, float]:
    """A row under the study's names; NaN for those of a phase that is not there."""
    complete = row | compare(row, features.comparisons)
    return {name: complete.get(name, float("nan")) for name in names}


def _record(phase: str, lesion: int, region: Region, given: PhaseImages) -> RegionRecord:
    notes = (*region.notes, given.note) if given.note else region.notes
    return RegionRecord(
        phase,
        lesion,
        region.name,
        region.voxels,
        region.volume_mm3,
        region.kept,
        region.excluded,
        notes,
        given.residual_mm,
    )


def one_thread() -> None:
    """For worker processes: ITK and OpenMP keep to one thread, so that processes do not fight over cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _extract_phase(
    given: PhaseImages,
    lesions: list[Lesion],
    habitats: Mapping[int, HabitatMap],
    features: Features,
    phase: Phase,
) -> list[tuple[int, list[Region], dict[str, float]]]:
    """Number, regions and features of every lesion of one phase."""
    grid = _working_grid(given, lesions, features, phase)
    image = prepare(given.image, phase, grid, given.masks.liver_background())
    slice_mm = max(given.image.GetSpacing())
    regions = {
        lesion.number: build_regions(lesion, given.masks, image, features, phase, slice_mm) for lesion in lesions
    }
    for lesion in lesions:
        if lesion.number in habitats:
            regions[lesion.number] += habitats[lesion.number].regions(image, lesion, features, phase)
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
                if region.optional:
                    continue
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
