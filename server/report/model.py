"""The report's tables about the model: coefficients and what was done to the columns before the fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.study import Study
from server.report.columns import Column, describe
from server.report.hospitals import gaps
from server.report.numerals import limits, odds_ratio, significant

SHOWN = 50
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Coefficient:
    """One column's coefficient, on both scales; only a clinical column has an odds ratio in its own unit."""

    column: Column
    standardised: float
    lowest: float | None
    highest: float | None
    refits: str
    odds_ratio_a_deviation: str
    own: str
    odds_ratio: str


@dataclass(frozen=True)
class Prepared:
    """What was done to one column."""

    column: Column
    missing: str
    fill: str
    centre: str
    spread: str
    used: bool


def coefficients(results: Mapping[str, Any], study: Study) -> list[Coefficient]:
    """The columns that take part, largest standardised coefficient first."""
    model, columns = results["model"], results["pipeline"]["columns"]
    refits = [s["coefficients"] for name, s in model["by_split"].items() if name != "final"]
    errors = model["standard_errors"] or {}
    found = []
    for name, standardised in model["standardised"].items():
        if not columns[name]["used"]:
            continue
        again = [refit[name] * columns[name]["spread"] for refit in refits]
        own, error, column = model["coefficients"][name], errors.get(name, 0.0), describe(study, name)
        found.append(
            Coefficient(
                column=column,
                standardised=standardised,
                lowest=min(again, default=None),
                highest=max(again, default=None),
                refits=limits(min(again), max(again)) if again else "–",
                odds_ratio_a_deviation=_odds_ratio(standardised, error * columns[name]["spread"]),
                own=significant(own),
                odds_ratio=_odds_ratio(own, error) if column.clinical else "–",
            )
        )
    return sorted(found, key=lambda c: (-abs(c.standardised), c.column.name))


def _odds_ratio(coefficient: float, error: float) -> str:
    """An odds ratio with its 95 % interval; an error of 0 stands for none."""
    if not error:
        return odds_ratio(coefficient)
    low, high = (odds_ratio(coefficient + side * _NORMAL_95 * error) for side in (-1, 1))
    return f"{odds_ratio(coefficient)} ({low} to {high})"


def used(results: Mapping[str, Any], study: Study) -> list[Column]:
    """Columns that take part in the model."""
    return [describe(study, name) for name, c in results["pipeline"]["columns"].items() if c["used"]]


def unused(results: Mapping[str, Any], study: Study) -> list[Column]:
    """Columns that were asked for and could not take part."""
    return [describe(study, name) for name, c in results["pipeline"]["columns"].items() if not c["used"]]


def prepared(results: Mapping[str, Any], study: Study) -> list[Prepared]:
    """Imputation and scaling of every column, fitted on all patients."""
    patients = results["cohort"]["patients"]
    rows = []
    for name, figures in results["pipeline"]["columns"].items():
        rows.append(
            Prepared(
                column=describe(study, name),
                missing=gaps(figures["known"], patients),
                fill=significant(figures["fill"], 4) if figures["known"] != patients else "–",
                centre=significant(figures["centre"], 4),
                spread=significant(figures["spread"], 4),
                used=figures["used"],
            )
        )
    return rows


def imputation(results: Mapping[str, Any]) -> str:
    """How gaps were filled, in a sentence."""
    settings = results["pipeline"]["imputation"]
    said = {
        "mean": "Missing values were replaced by the mean of the known values of all hospitals",
        "regression": "Missing clinical values were predicted from the other clinical columns by regression over "
        "all hospitals, and missing image features replaced by the mean",
    }.get(settings["method"], f"Missing values were filled by: {settings['method']}")
    if settings["indicator"]:
        said += "; for each clinical column, a column that says 'value missing' was added"
    return f"{said}."


def harmonisation(results: Mapping[str, Any], study: Study) -> str:
    """How hospital effects were treated, in a sentence."""
    found = results["pipeline"]["harmonisation"]
    if found["method"] == "none" and all(
        describe(study, name).clinical for name in results["pipeline"]["columns"]
    ):
        return "There was nothing to harmonise: the model uses no image features."
    if found["method"] == "none":
        return (
            "Hospital effects on image features were not removed (no harmonisation): differences between scanners "
            "remain in the features."
        )
    method = {"combat": "ComBat", "covbat": "CovBat"}.get(found["method"], found["method"])
    kept = f", keeping the effect of {', '.join(found['covariates'])}" if found["covariates"] else ""
    alone = len(found["left_alone"])
    left_alone = f" {alone} {'feature was' if alone == 1 else 'features were'} left as before." if alone else ""
    batch = {"hospital": "hospitals", "hospital+scanner": "hospitals and their scanners"}
    between = found["batch"]
    between = f"the levels of {', '.join(between)}" if isinstance(between, list) else batch.get(between, between)
    return (
        f"Differences between {between} were removed from the image features by {method}{kept}; "
        f"coefficients of these features hold for harmonised values.{left_alone}"
    )


def penalty(results: Mapping[str, Any]) -> str:
    """The fit, in a sentence."""
    model = results["model"]
    if model["kind"] == "network":
        return "Network trained in the hospitals"
    shared = results["study"]["content"].get("model", {}).get("baseline") == "shared"
    cox = "Cox regression with one baseline" if shared else "Cox regression stratified by hospital"
    kind = {
        "logistic": "Logistic regression",
        "multinomial": "Multinomial regression",
        "ordinal": "Proportional-odds regression",
        "cox": cox,
    }[model["kind"]]
    if model["penalty"] == "none":
        return f"{kind} without penalty"
    return f"{kind} with a {model['penalty']} penalty (strength λ = {model['strength']})"
