"""The report's words on the membership-inference audit: a sentence and a small table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.query import SMALLEST_CELL
from server.report.numerals import interval, limits, whole

ATTACKS: Mapping[str, str] = {
    "likelihood ratio": "the patient's margin by a fold's model, compared with the margins by the models of the other "
    "repeats that did and did not train on the patient (a likelihood ratio)",
    "calibrated": "the patient's margin by a fold's model, less the margin by the model without the patient's hospital",
    "plain": "the patient's margin by a fold's model: how sure the model is of what truly happened",
}


@dataclass(frozen=True)
class Accused:
    """One row: an attacker who allows a share of false accusations."""

    allowed: str
    wrongly: str
    rightly: str


@dataclass(frozen=True)
class Section:
    """What the report says of the audit."""

    sentence: str
    attack: str
    auc: str
    pairs: str
    accused: tuple[Accused, ...]


def section(results: Mapping[str, Any]) -> Section | None:
    """None where the study had no audit."""
    found = results.get("membership")
    if found is None:
        return None
    return Section(
        sentence=found["sentence"],
        attack=ATTACKS[found["attack"]],
        auc=interval(found["auc"]),
        pairs=whole(found["pairs"]),
        accused=tuple(_accused(allowed, said) for allowed, said in found["accused"].items()),
    )


def _accused(allowed: str, said: Mapping[str, Any]) -> Accused:
    asked = f"{100 * float(allowed):g} %"
    if said["rightly"]["value"] is None:
        patients = f"{SMALLEST_CELL / float(allowed):.0f}"
        return Accused(asked, "–", f"not estimable (no hospital has {patients} patients)")
    rightly = said["rightly"]
    text = f"{100 * rightly['value']:.1f} % ({limits(100 * rightly['low'], 100 * rightly['high'], 1)})"
    return Accused(asked, f"{100 * said['wrongly']:.1f} %", text)
