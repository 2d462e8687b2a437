"""Sealed external hospitals: the final model judged once on patients whom no fit has seen.

Three external hospitals and more make a total: the scheme `external` then stands beside the others, by the split
`external`, which trains on the rows of `final` and so ends in the same coefficients. Fewer say their own figures in
clear alone, of the study's first model: AUC (a class against the others) or Harrell's C with its error, calibration
slope and intercept, from ten patients of each class on. For a time to an event the slope is Cox's coefficient of the
linear predictor, the intercept log(observed / expected events) by the final baseline up to the last judged horizon
(Crowson 2016, doi:10.1177/0962280213497434). One exchange. Mirrored by client/queries/external_figures.py; the
hospital's gate notes the first look and refuses a second model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.query import Disclosed
from common.splits import Label, external_labels_of
from common.study import Study
from common.whole_hospitals import asks_figures_alone
from server.evaluation.discrimination import NOT_ESTIMABLE, Discrimination, Estimate
from server.evaluation.survival import Survival
from server.evaluation.survival_fits import MOST_HAZARD
from server.federation import Federation


@dataclass(frozen=True)
class OwnFigures:
    """One hospital's figures, for one class where there are several: AUC or C; slope and intercept."""

    figure: Estimate
    calibration: tuple[float, float] | None


@dataclass(frozen=True)
class External:
    """The external hospitals' own figures by label; whether their patients were judged together as well."""

    hospitals: dict[str, dict[str, OwnFigures]]
    figure: str
    together: bool


def judge_external(
    federation: Federation,
    study: Study,
    view: str,
    discrimination: Mapping[str, Discrimination],
    survival: Survival | None,
) -> External | None:
    """The external hospitals' figures; None where none is external."""
    names = study.validation.external
    if not names:
        return None
    labels = [label for label in external_labels_of(study) if not Label.read(label).model]
    figure = "C" if survival else "AUC"
    if not asks_figures_alone(study):
        found = {
            name: {label: _judged(name, label, discrimination, survival) for label in labels} for name in names
        }
        return External(found, figure, together=True)
    parameters, arrays = _baseline(survival) if survival else ({}, {})
    said = federation.ask(
        "external_figures", view=view, rows="held_out", parameters=parameters, arrays=arrays
    ).disclosed
    return External({name: {label: _own(said[name], label) for label in labels} for name in names}, figure, False)


def _baseline(survival: Survival) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The final model's cumulative hazard."""
    curve = survival.curve
    return {"months": list(curve.months)}, {"baseline": np.minimum(curve.hazards, MOST_HAZARD)}


def _judged(
    name: str, label: str, discrimination: Mapping[str, Discrimination], survival: Survival | None
) -> OwnFigures:
    if survival:
        return OwnFigures(survival.judged[label].by_site.get(name, NOT_ESTIMABLE), None)
    found = discrimination[label]
    return OwnFigures(found.by_site.get(name, NOT_ESTIMABLE), found.calibration_by_site.get(name))


def _own(figures: Disclosed, label: str) -> OwnFigures:
    known = Estimate.normal(*figures.auc[label]) if label in figures.auc else NOT_ESTIMABLE
    return OwnFigures(known, figures.calibration.get(label))
