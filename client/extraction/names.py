"""The names of a study's features, known before any image: every patient has all of them, in this order."""

from collections.abc import Iterator
from itertools import product

from client.cohort.faults import near_miss
from client.extraction.classes import feature_names_of
from client.extraction.comparisons import compare
from common.errors import StudyError
from common.features import Comparison, Features


def feature_names(features: Features) -> list[str]:
    """What `extract` gives for every patient under these settings.

    Raises
    ------
    StudyError
        Where a comparison's pattern fits none of them.
    """
    row = dict.fromkeys([*_single(features), *habitat_shares(features)], float("nan"))
    for number, comparison in enumerate(features.comparisons, 1):
        for pattern in comparison.features:
            _check_pattern(number, comparison, pattern, row)
    return [*row, *compare(row, features.comparisons)]


def _check_pattern(number: int, comparison: Comparison, pattern: str, row: dict[str, float]) -> None:
    if compare(row, [comparison.model_copy(update={"features": [pattern]})]):
        return
    known = list(dict.fromkeys(name.split("_", 2)[2] for name in row))
    meant = near_miss(pattern, known) or known[0]
    raise StudyError(
        f"features, comparison {number}: no feature of both fits {pattern!r}: patterns (*) are of "
        f"<filter>_<class>_<feature>; did you mean {meant}?"
    )


def _single(features: Features) -> Iterator[str]:
    for phase_name, phase in features.phases.items():
        names = {
            name: feature_names_of(name, phase.dimension) for name in dict.fromkeys(("shape", *features.classes))
        }
        for region in features.region_names():
            if "shape" in features.classes:
                yield from (f"{phase_name}_{region}_original_{name}" for name in names["shape"])
            for filter_name in filter_names(features, phase.dimension):
                for feature_class in features.classes:
                    if feature_class != "shape":
                        yield from (f"{phase_name}_{region}_{filter_name}_{name}" for name in names[feature_class])


def habitat_shares(features: Features) -> list[str]:
    """The features that say how much of a patient's tumour each habitat is."""
    if features.habitats is None:
        return []
    first = features.habitats.phases[0]
    return [f"{first}_{habitat}_original_shape_VolumeFraction" for habitat in features.habitats.names()]


def filter_names(features: Features, dimension: int) -> list[str]:
    """PyRadiomics' names of the study's filters, in the order of computation."""
    names = ["original"] if "original" in features.filters else []
    if "log" in features.filters:
        names += [f"log-sigma-{str(float(sigma)).replace('.', '-')}-mm-3D" for sigma in features.log_sigma_mm]
    if "wavelet" in features.filters:
        passes = ["".join(letters) for letters in product("LH", repeat=dimension)]
        names += [f"wavelet-{letters}" for letters in [*passes[1:], passes[0]]]
    return names
