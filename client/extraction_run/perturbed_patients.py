"""Which of a hospital's patients are measured in perturbed images too."""

import hashlib
from collections.abc import Iterable

from common.features import Features


def sample(patients: Iterable[str], features: Features) -> frozenset[str]:
    """As many as the study asks for, the first by a hash of their id: neither a list's order nor a run matters."""
    stability = features.stability
    if stability is None or not stability.perturbations:
        return frozenset()
    by_hash = sorted(patients, key=lambda patient: hashlib.sha256(patient.encode()).digest())
    return frozenset(by_hash[: stability.patients])
