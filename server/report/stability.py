"""The report's section on the stability of features: two short tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.study import Study
from server.report.columns import Column, describe
from server.report.numerals import fixed, limits

SHOWN = 10
_TITLES = {"perturbations": "Images and masks changed a little", "readers": "Two readers"}
UNKNOWN = "not known"


@dataclass(frozen=True)
class Kind:
    """One kind of repetition."""

    title: str
    patients: str
    hospitals: str
    measurements: str
    features: str
    good: str
    excellent: str


@dataclass(frozen=True)
class Feature:
    """One feature and its ICC, a text for each kind."""

    column: Column
    icc: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """What the report says of stability."""

    kinds: tuple[Kind, ...]
    titles: tuple[str, ...]
    least: tuple[Feature, ...]
    left_out: tuple[tuple[Column, str], ...]
    minimum: float | None


def section(results: Mapping[str, Any], study: Study) -> Section | None:
    """None where the study measured nobody again."""
    found = results.get("stability")
    if found is None:
        return None
    features, left_out = found["features"], found["left_out"]
    judged = {name: _lowest(said) for name, said in features.items() if name not in left_out}
    least = sorted((low, name) for name, low in judged.items() if low is not None)[:SHOWN]
    return Section(
        kinds=tuple(_kind(_TITLES[kind], summary) for kind, summary in found["summary"].items()),
        titles=tuple(_TITLES[kind] for kind in found["summary"]),
        least=tuple(
            Feature(describe(study, name), tuple(_icc(features[name][kind]) for kind in found["summary"]))
            for _, name in least
        ),
        left_out=tuple((describe(study, name), reason) for name, reason in left_out.items()),
        minimum=found["settings"]["minimum_icc"],
    )


def _kind(title: str, said: Mapping[str, int] | None) -> Kind:
    keys = ("patients", "hospitals", "measurements", "features", "good", "excellent")
    return Kind(title, *(str(said[key]) if said else UNKNOWN for key in keys))


def _lowest(said: Mapping[str, Mapping[str, float] | None]) -> float | None:
    return min((figures["icc"] for figures in said.values() if figures is not None), default=None)


def _icc(figures: Mapping[str, float] | None) -> str:
    if figures is None:
        return UNKNOWN
    return f"{fixed(figures['icc'], 2)} ({limits(figures['low'], figures['high'], 2)})"
