"""The report's tables about how well the model predicts, and what the figures mean in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.query import SMALLEST_CLASS_FOR_OWN_AUC
from common.splits import APPARENT, LEAVE_ONE_HOSPITAL_OUT
from server.report import words
from server.report.numerals import NOT_ESTIMABLE, estimate_or_words, fixed, interval, limits

ORDER = (words.KFOLD, LEAVE_ONE_HOSPITAL_OUT, APPARENT)
TOO_FEW_FOR_OWN = f"not estimable (fewer than {SMALLEST_CLASS_FOR_OWN_AUC} with or without the outcome)"
_NOT_ASKED = {
    words.KFOLD: "not asked for (the study sets no folds)",
    LEAVE_ONE_HOSPITAL_OUT: "not asked for (the study does not leave hospitals out)",
}
_APART = 0.05


@dataclass(frozen=True)
class Scheme:
    """One scheme's row, as text."""

    name: str
    title: str
    meaning: str
    patients: int
    events: int
    repeats: int
    auc: str
    certified: str
    bins: int
    within: str
    brier: str
    brier_reference: str
    slope: str
    intercept: str
    observed_to_expected: str


@dataclass(frozen=True)
class Headline:
    """One of the figures that always stand beside each other."""

    title: str
    scheme: str
    value: str
    limits: str
    meaning: str


@dataclass(frozen=True)
class ByHospital:
    """One hospital's AUC, calibration slope and intercept for every scheme."""

    hospital: str
    cells: tuple[tuple[str, str], ...]


def schemes(results: Mapping[str, Any]) -> list[str]:
    """The schemes that the study used: held-out ones first."""
    found = results["performance"]
    return [s for s in ORDER if s in found] + [s for s in found if s not in ORDER]


def rows(results: Mapping[str, Any]) -> list[Scheme]:
    """The performance table."""
    return [_row(name, results["performance"][name]) for name in schemes(results)]


def _row(name: str, found: Mapping[str, Any]) -> Scheme:
    title, meaning = words.scheme(name)
    if found["transductive"]:
        meaning += "; transductive: that hospital's own values, without outcomes, took part in its harmonisation"
    overall = found["overall"]
    auc, calibration = overall["auc"], overall["calibration"]
    prevalence = found["events"] / found["patients"]
    return Scheme(
        name=name,
        title=title,
        meaning=meaning,
        patients=found["patients"],
        events=found["events"],
        repeats=found["repeats"],
        auc=estimate_or_words(auc, f"{NOT_ESTIMABLE} (one class only)"),
        certified=limits(auc["certified_low"], auc["certified_high"]),
        bins=auc["bins"],
        within=estimate_or_words(
            found["within_sites"]["auc"], f"{NOT_ESTIMABLE} (no hospital has patients of both kinds)"
        ),
        brier=fixed(overall["brier"]),
        brier_reference=fixed(prevalence * (1 - prevalence)),
        slope=interval(calibration["slope"], 2),
        intercept=interval(calibration["intercept"], 2),
        observed_to_expected=fixed(calibration["observed_to_expected"], 2),
    )


def headlines(results: Mapping[str, Any], of: str) -> list[Headline]:
    """Cross-validated, leave-one-hospital-out and within-hospital AUC, each with what it means."""
    found = results["performance"]
    leading = schemes(results)[0]
    within = found[leading]["within_sites"]["auc"]
    basis = words.scheme(leading)[0].lower()
    return [
        _headline(found, words.KFOLD, "New patients, same hospitals", of),
        _headline(found, LEAVE_ONE_HOSPITAL_OUT, "A new hospital", of),
        Headline(
            "Patients of one hospital",
            "AUC within hospitals",
            fixed(within["value"], 2),
            _limits(within),
            "Only patients of the same hospital are compared with each other, so that differences between "
            f"hospitals cannot help the model. Scheme: {basis}.",
        ),
    ]


def _headline(found: Mapping[str, Any], name: str, title: str, of: str) -> Headline:
    scheme = f"AUC, {words.scheme(name)[0].lower()}"
    if name not in found:
        return Headline(title, scheme, "–", _NOT_ASKED[name], "")
    auc = found[name]["overall"]["auc"]
    if auc["value"] is None:
        return Headline(title, scheme, NOT_ESTIMABLE, "", "There are no patients of both kinds to compare.")
    fitted_without = {words.KFOLD: "that patient", LEAVE_ONE_HOSPITAL_OUT: "that patient's hospital"}[name]
    meaning = (
        f"Of a patient with and a patient without {of}, the one with it gets the higher risk in "
        f"{100 * auc['value']:.0f} of 100 pairs. Each patient is judged by a model fitted without {fitted_without}."
    )
    if found[name]["transductive"]:
        meaning += " That hospital's own values, without outcomes, served to harmonise it."
    return Headline(title, scheme, fixed(auc["value"], 2), _limits(auc), meaning)


def _limits(estimate: Mapping[str, float | None]) -> str:
    return f"95 % interval {limits(estimate['low'], estimate['high'], 2)}" if estimate["value"] is not None else ""


def by_hospital(results: Mapping[str, Any]) -> list[ByHospital]:
    """Every hospital's own figures, as it disclosed them."""
    found = results["performance"]
    names = list(dict.fromkeys(h for s in schemes(results) for h in found[s]["by_site"]))
    return [ByHospital(h, tuple(_own(found[s]["by_site"].get(h)) for s in schemes(results))) for h in names]


def _own(figures: Mapping[str, Any] | None) -> tuple[str, str]:
    if figures is None:
        return "–", "–"
    calibration = figures["calibration"]
    slope = "–"
    if calibration["slope"] is not None and calibration["intercept"] is not None:
        slope = f"{fixed(calibration['slope'], 2)}; {fixed(calibration['intercept'], 2)}"
    return estimate_or_words(figures["auc"], "not estimable*"), slope


def own_figures_missing(results: Mapping[str, Any]) -> bool:
    """Whether a hospital has too few patients of a kind for figures of its own."""
    return any(
        own["auc"]["value"] is None
        for found in results["performance"].values()
        for own in found["by_site"].values()
    )


def remarks(results: Mapping[str, Any]) -> list[str]:
    """What a careful reader would notice in the figures."""
    return [remark for name in schemes(results) if name != APPARENT for remark in _remarks(name, results)]


def _remarks(name: str, results: Mapping[str, Any]) -> list[str]:
    found = results["performance"][name]
    title = words.scheme(name)[0]
    said = []
    overall, within = found["overall"]["auc"]["value"], found["within_sites"]["auc"]["value"]
    if overall is not None and within is not None and abs(overall - within) >= _APART:
        told = f"{title}: the AUC is {fixed(overall, 2)} over all patients, {fixed(within, 2)} within hospitals."
        if overall < within:
            said.append(
                f"{told} Within a hospital the ranking is better than between hospitals: predicted risks lie "
                "on different levels at different hospitals, as happens when scanners or protocols shift the "
                "features."
            )
        else:
            said.append(f"{told} Part of the AUC over all patients tells hospitals apart rather than patients.")
    slope = found["overall"]["calibration"]["slope"]
    if slope["value"] is None:
        said.append(f"{title}: calibration could not be estimated.")
    elif slope["high"] < 1:
        said.append(
            f"{title}: predicted risks are too extreme (calibration slope {interval(slope, 2)}, ideal 1): high "
            "risks are too high, low risks too low. Recalibrate before any use of the risks themselves."
        )
    elif slope["low"] > 1:
        said.append(
            f"{title}: predicted risks are too cautious (calibration slope {interval(slope, 2)}, ideal 1): they "
            "lie nearer to the average than they should."
        )
    return said
