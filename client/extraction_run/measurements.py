"""Which measurements are made of a patient: the one that studies use and, where a study asks, repetitions."""

from dataclasses import replace

from client.cohort.patient_images import PatientImages
from client.extraction import Extraction, extract, phase_images, second_reader
from client.extraction.phase_images import with_masks
from client.extraction.stability import perturbed_rows, second_readers_rows
from common.features import Features


def measure(patient: PatientImages, features: Features, in_sample: bool) -> Extraction:
    """A patient's features, with rows for every repetition; what cannot be repeated is noted at the first region.

    Raises
    ------
    CannotExtract
        Where the measurement that studies use cannot be made.
    """
    images = phase_images(patient, features)
    stability = features.stability
    if stability is None:
        return extract(images, features)
    images = with_masks(images, features)
    found = extract(images, features)
    rows, notes = [*found.rows], list[str]()
    if in_sample:
        again, said = perturbed_rows(images, features, stability, patient.digest)
        rows, notes = [*rows, *again], [*notes, *said]
    second = second_reader(patient, features) if stability.readers else None
    if second is not None:
        again, said = second_readers_rows(images, second, features)
        rows, notes = [*rows, *again], [*notes, *said]
    first, *others = found.regions
    return Extraction(rows, [replace(first, notes=(*first.notes, *notes)), *others])
