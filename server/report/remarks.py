"""What a careful reader would notice in a study's figures, in sentences for the summary."""

from collections.abc import Mapping
from typing import Any

from common.splits import APPARENT
from server.report import words
from server.report.differences import hospital_effects
from server.report.numerals import fixed, interval, significant
from server.report.performance import schemes

ON_ITSELF = (
    "The model was judged on its own training patients only: too favourable. Ask for folds or "
    "leave_one_hospital_out under validation to learn what new patients may expect."
)
_APART = 0.05
_TOO_GOOD = 0.995
_WIDE_CERTIFICATE = 0.2
_FEWEST_EVENTS_A_COLUMN = 10  # Peduzzi et al. 1996, doi:10.1016/S0895-4356(96)00236-3


def remarks(results: Mapping[str, Any]) -> list[str]:
    """The remarks; that there is no held-out scheme comes first."""
    survival = results.get("survival")
    found = schemes(results) if survival is None else list(survival["performance"][""])
    held_out = [name for name in found if name != APPARENT]
    judged = held_out or results.get("external")
    said = [*([] if judged else [ON_ITSELF]), *hospital_effects(results)]
    for name in held_out if survival is None else []:
        title, found = words.scheme(name)[0], results["performance"][name]
        said += [*_on_auc(title, found), *_on_calibration(title, found)]
    return said + _on_fit(results)


def _on_auc(title: str, found: Mapping[str, Any]) -> list[str]:
    auc, within = found["overall"]["auc"], found["within_sites"]["auc"]["value"]
    if auc["value"] is None:
        return []
    said = []
    if auc["value"] >= _TOO_GOOD:
        said.append(
            f"{title}: an AUC of {fixed(auc['value'])} is too good to be true. Probably there is a leak: does a "
            "column already hold the outcome, or something that is known only after it?"
        )
    width = auc["certified_high"] - auc["certified_low"]
    if width > _WIDE_CERTIFICATE:
        said.append(
            f"{title}: the certificate of the AUC is {fixed(width, 2)} wide (bins: {auc['bins']}): too few events, or "
            "too few patients without, to certify the AUC."
        )
    if within is not None and abs(auc["value"] - within) >= _APART:
        said.append(_apart(title, auc["value"], within))
    return said


def _apart(title: str, overall: float, within: float) -> str:
    """What it means that the AUC over all patients is not the one within hospitals."""
    told = f"{title}: the AUC is {fixed(overall, 2)} over all patients, {fixed(within, 2)} within hospitals."
    if overall > within:
        return f"{told} Part of the AUC over all patients tells hospitals apart rather than patients."
    return (
        f"{told} Within a hospital the ranking is better than between hospitals: predicted risks lie on different "
        "levels at different hospitals, as happens when scanners or protocols shift the features, or when the "
        "share of patients with the outcome differs between hospitals (or one has patients of one kind only)."
    )


def _on_calibration(title: str, found: Mapping[str, Any]) -> list[str]:
    slope = found["overall"]["calibration"]["slope"]
    if slope["value"] is None:
        return [f"{title}: calibration could not be estimated."]
    if slope["high"] < 1:
        return [
            f"{title}: predicted risks are too extreme (calibration slope {interval(slope, 2)}, ideal 1): high "
            "risks are too high, low risks too low. Recalibrate before any use of the risks themselves."
        ]
    if slope["low"] > 1:
        return [
            f"{title}: predicted risks are too cautious (calibration slope {interval(slope, 2)}, ideal 1): they "
            "lie nearer to the average than they should."
        ]
    return []


def _on_fit(results: Mapping[str, Any]) -> list[str]:
    """Too few events for a fit without penalty; where most have the outcome, those without it count."""
    cohort, columns = results["cohort"], results["pipeline"]["columns"]
    used = sum(column["used"] for column in columns.values())
    lost = (results.get("horizon") or {}).get("known", {}).get("lost") or 0
    fewer = min(cohort["events"], cohort["patients"] - cohort["events"] - lost)
    if results["model"]["penalty"] != "none" or not used or fewer / used >= _FEWEST_EVENTS_A_COLUMN:
        return []
    kind = "events" if fewer == cohort["events"] else "patients without the outcome"
    return [
        f"The fit has no penalty, and {fewer} {kind} for {used} columns: {significant(fewer / used, 2)} a column, "
        f"fewer than {_FEWEST_EVENTS_A_COLUMN}. Coefficients are unstable and predicted risks too extreme: name fewer "
        "columns, or take penalty: ridge."
    ]
