"""The same lesions on every phase of a patient."""

from collections.abc import Mapping

from client.cannot_extract import CannotExtract
from client.extraction.phase_images import PhaseImages
from client.regions import Lesion, lesions_of, same_lesions
from common.features import Features


def lesions_by_phase(images: Mapping[str, PhaseImages], features: Features) -> dict[str, list[Lesion]]:
    """The lesions that features are computed for, in the order of the first phase's on every phase.

    Raises
    ------
    CannotExtract
        With the phase that lacks a tumour, or whose tumours cannot be told to be the first phase's.
    """
    found: dict[str, list[Lesion]] = {}
    for name, given in images.items():
        try:
            if not found:
                found[name] = lesions_of(given.masks, features.lesions)
                continue
            every = lesions_of(given.masks, "merged" if features.lesions == "merged" else "each")
            found[name] = same_lesions(next(iter(found.values())), every)
        except CannotExtract as fault:
            raise CannotExtract(f"{name}: {fault}") from None
    return found
