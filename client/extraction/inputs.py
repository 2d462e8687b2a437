"""From a patient's folder to what features are computed from."""

from collections.abc import Callable
from pathlib import Path

from client.cannot_extract import CannotExtract
from client.cohort.findings import ImageFault
from client.cohort.image_names import MODALITIES, region_of
from client.cohort.images import read_patient
from client.cohort.images_file import ImagesFile
from client.cohort.patient_images import PatientImages
from client.cohort.patient_images import Phase as PatientPhase
from client.cohort.voxel_files import flat
from client.extraction.phase_images import PhaseImages
from client.regions import Masks
from common.features import Features, Phase

SECOND_READER = "_reader2"


def read_phases(folder: Path, general: ImagesFile | None, features: Features) -> PatientImages:
    """Read what a study asks for from images/ID; where the study allows it, phases may be missing but the first.

    Raises
    ------
    ImagesUnusable
        With every finding that keeps the patient out.
    """
    wanted = list(features.image_names().values())
    optional = wanted[1:] if features.missing_phases == "leave-empty" else []
    return read_patient(folder, general, wanted, optional)


def phase_images(patient: PatientImages, features: Features) -> dict[str, PhaseImages]:
    """The study's phases with the first reader's masks, by the study's names.

    Where the study carries masks, phases that it does not compute are among them if a tumour was drawn there.
    """
    return _phases(patient, features, lambda phase: phase.tumours)


def second_reader(patient: PatientImages, features: Features) -> dict[str, PhaseImages] | None:
    """The same with the second reader's tumours (tumour_reader2); None where there are none."""
    found = _phases(patient, features, _second_readers_tumours)
    return found if any(given.masks.tumours for given in found.values()) else None


def _second_readers_tumours(phase: PatientPhase) -> list[str]:
    return sorted(mask for mask in phase.masks if region_of(mask) == "tumour" and mask.endswith(SECOND_READER))


def _phases(
    patient: PatientImages, features: Features, tumours: Callable[[PatientPhase], list[str]]
) -> dict[str, PhaseImages]:
    called = features.image_names()
    found = {}
    for name, phase in features.phases.items():
        if called[name] in patient.phases:
            there = patient.phases[called[name]]
            try:
                found[name] = _given(there, tumours(there), phase)
            except (CannotExtract, ImageFault) as fault:
                raise CannotExtract(f"{name}: {fault}") from None
    if features.masks != "own":
        for name, there in patient.phases.items():
            if name not in called.values() and tumours(there):
                found[name] = _given(there, tumours(there), None)
    return found


def _given(there: PatientPhase, tumours: list[str], phase: Phase | None) -> PhaseImages:
    if phase is not None and there.modality and there.modality != MODALITIES[phase.modality]:
        raise CannotExtract(
            f"the image is {there.modality}, the study's phase is {phase.modality}: put the right image there, or "
            "leave the patient out"
        )
    flatten = phase is not None and phase.dimension == 2
    image, masks = there.image, there.masks
    if flatten:
        image, masks = flat(image), {name: flat(mask) for name, mask in masks.items()}
    return PhaseImages(image, Masks([masks[name] for name in tumours], masks.get("liver"), masks.get("vessels")))
