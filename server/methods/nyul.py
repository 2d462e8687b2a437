"""Nyúl's standard scale (doi:10.1109/42.836373), from all hospitals: mirrored by client/queries/nyul.py.

For each phase, the landmarks of an image are its intensities at the percentiles 1, 10, 20, …, 90, 99 of the normalised
region; they are moved linearly so that the first is 0 and the last is 100. The standard scale is their mean over all
patients: Σ landmarks / Σ 1. What leaves: these two sums, a phase each. Rounds: one. Exact, then rounded to six digits.
"""

from itertools import pairwise

from common.errors import StudyStopped
from common.features import Features
from common.query import FEWEST_HOSPITALS, SMALLEST_ROW_SET
from server.federation import Federation
from server.rounding import six_digits


def learn_scales(federation: Federation, features: Features) -> dict[str, list[float]]:
    """The standard scale of every phase that has none yet: ``nyul_landmarks`` by phase.

    Raises
    ------
    StudyStopped
        Where a phase is at too few hospitals or patients, or two landmarks of the scale coincide.
    """
    sums = federation.ask("nyul_landmarks").sums
    found = {}
    for at, phase in enumerate(features.unscaled_phases()):
        hospitals, patients = int(sums["hospitals"][at]), int(sums["patients"][at])
        if hospitals < FEWEST_HOSPITALS or patients < SMALLEST_ROW_SET:
            raise StudyStopped(
                f"features.phases.{phase}: {patients} patients of {hospitals} hospitals have it; a standard scale "
                f"needs {SMALLEST_ROW_SET} of {FEWEST_HOSPITALS}: add hospitals, or take normalisation: z-score"
            )
        scale = six_digits(sums["landmarks"][at] / patients)
        if any(after <= before for before, after in pairwise(scale)):
            raise StudyStopped(
                f"features.phases.{phase}: two landmarks of the standard scale coincide ({scale}): too few grey levels "
                "for nyul; take normalisation: z-score"
            )
        found[phase] = scale
    return found
