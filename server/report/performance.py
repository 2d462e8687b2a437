"""The report's tables about how well the model predicts, and what the figures mean in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.query import SMALLEST_CLASS_FOR_OWN_AUC
from common.splits import APPARENT, LEAVE_ONE_HOSPITAL_OUT
from common.whole_hospitals import EXTERNAL, LEAVE_GROUP_OUT
from server.report import words
from server.report.differences import name_in_brief
from server.report.numerals import NOT_ESTIMABLE, estimate_or_words, fixed, interval, limits

ORDER = (words.KFOLD, LEAVE_ONE_HOSPITAL_OUT, LEAVE_GROUP_OUT, EXTERNAL, APPARENT)
TOO_FEW_FOR_OWN = f"not estimable (fewer than {SMALLEST_CLASS_FOR_OWN_AUC} with or without the outcome)"
_NOT_ASKED = {
    words.KFOLD: "not asked for (the study sets no folds)",
    LEAVE_ONE_HOSPITAL_OUT: "not asked for (the study does not leave hospitals out)",
}


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
    found = results["performance"]
    return [_row(results, name, found[name], is_transductive(results, name)) for name in schemes(results)]


def is_transductive(results: Mapping[str, Any], scheme: str) -> bool:
    """Whether judged patients' own values took part in their harmonisation; without harmonisation none did."""
    harmonised = results["pipeline"]["harmonisation"]["method"] != "none"
    return harmonised and bool(results["performance"][scheme]["transductive"])


def _row(results: Mapping[str, Any], name: str, found: Mapping[str, Any], transductive: bool) -> Scheme:
    title, meaning = words.scheme(name)
    if transductive:
        meaning += "; transductive: that hospital's own values, without outcomes, took part in its harmonisation"
    overall = found["overall"]
    auc, calibration = overall["auc"], overall["calibration"]
    share = _share_with_outcome(results, found["events"], found["patients"])
    brier_reference = share * (1 - share)
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
        brier_reference=fixed(brier_reference),
        slope=interval(calibration["slope"], 2),
        intercept=interval(calibration["intercept"], 2),
        observed_to_expected=fixed(calibration["observed_to_expected"], 2),
    )


def _share_with_outcome(results: Mapping[str, Any], events: int, patients: int) -> float:
    """The share that has the outcome; at a horizon the incidence, for nobody knows it of those who were lost."""
    found = results.get("horizon")
    return events / patients if found is None else float(found["incidence"])


def headlines(results: Mapping[str, Any], of: str) -> list[Headline]:
    """Cross-validated, leave-one-hospital-out and within-hospital AUC, each with what it means."""
    return [
        _headline(results, words.KFOLD, "New patients, same hospitals", of),
        _headline(results, LEAVE_ONE_HOSPITAL_OUT, "A new hospital", of),
        _headline_within(results),
    ]


def _headline_within(results: Mapping[str, Any]) -> Headline:
    """The within-hospital AUC of the leading held-out scheme; the apparent one is no headline."""
    title, scheme = "Patients of one hospital", "AUC within hospitals"
    leading = schemes(results)[0]
    if leading == APPARENT:
        return Headline(title, scheme, "–", "no patient was held out", "")
    within = results["performance"][leading]["within_sites"]["auc"]
    return Headline(
        title,
        scheme,
        fixed(within["value"], 2),
        _limits(within),
        "Only patients of the same hospital are compared with each other, so that differences between "
        f"hospitals cannot help the model. Scheme: {words.scheme(leading)[0].lower()}.{name_in_brief(results)}",
    )


def _headline(results: Mapping[str, Any], name: str, title: str, of: str) -> Headline:
    found, scheme = results["performance"], f"AUC, {words.scheme(name)[0].lower()}"
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
    if is_transductive(results, name):
        meaning += " That hospital's own values, without outcomes, served to harmonise it."
    return Headline(title, scheme, fixed(auc["value"], 2), _limits(auc), meaning)


def _limits(estimate: Mapping[str, float | None]) -> str:
    return f"95 % interval {limits(estimate['low'], estimate['high'], 2)}" if estimate["value"] is not None else ""


def by_class(results: Mapping[str, Any]) -> list[tuple[str, list[Scheme]]]:
    """The performance table for every class of an outcome with several."""
    found = results["performance_by_class"]
    return [
        (level, [_row(results, s, own[s], is_transductive(results, s)) for s in schemes(results)])
        for level, own in found.items()
    ]


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
