"""Sealed external hospitals: the final model judged once on patients whom no fit has seen.

Three external hospitals and more make a total: the scheme `external` then stands beside the others, by the split
`external`, which trains on the rows of `final` and so ends in the same coefficients. Fewer say their own figures in
clear alone: AUC with DeLong's error, calibration slope and intercept, from ten patients of each class on. One exchange.
Mirrored by client/queries/external_figures.py; the hospital's gate notes the first look and refuses a second model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.query import Disclosed
from common.study import Study
from common.whole_hospitals import EXTERNAL, asks_figures_alone
from server.evaluation.discrimination import NOT_ESTIMABLE, Discrimination, Estimate
from server.federation import Federation


@dataclass(frozen=True)
class External:
    """The external hospitals' own figures; whether their patients were judged together as well."""

    auc: dict[str, Estimate]
    calibration: dict[str, tuple[float, float] | None]
    together: bool


def judge_external(
    federation: Federation, study: Study, view: str, discrimination: Mapping[str, Discrimination]
) -> External | None:
    """The external hospitals' figures by the study's first model; None where none is external."""
    names = study.validation.external
    if not names or study.outcome.kind == "survival":  # judged as a label of its own
        return None
    if not asks_figures_alone(study):
        found = discrimination.get(EXTERNAL)  # none where the outcome has several classes or is a time
        return External(
            {name: found.by_site.get(name, NOT_ESTIMABLE) if found else NOT_ESTIMABLE for name in names},
            {name: found.calibration_by_site.get(name) if found else None for name in names},
            together=True,
        )
    said = federation.ask("external_figures", view=view, rows="held_out").disclosed
    return External(
        {name: _auc(said[name]) for name in names},
        {name: said[name].calibration.get(EXTERNAL) for name in names},
        together=False,
    )


def _auc(figures: Disclosed) -> Estimate:
    return Estimate.normal(*figures.auc[EXTERNAL]) if EXTERNAL in figures.auc else NOT_ESTIMABLE


def external_of(external: External | None, disclosed: Mapping[str, Disclosed]) -> dict[str, Any] | None:
    """The key `external` of results.json (docs/results.md)."""
    if external is None:
        return None
    return {
        "judged_together": external.together,
        "hospitals": {
            name: {
                "patients": disclosed[name].patients,
                "auc": {
                    "value": estimate.value,
                    "low": estimate.low,
                    "high": estimate.high,
                    "standard_error": estimate.standard_error,
                },
                "calibration": dict(
                    zip(("slope", "intercept"), external.calibration[name] or (None, None), strict=True)
                ),
            }
            for name, estimate in sorted(external.auc.items())
        },
    }


def notes_on_external(external: External | None) -> list[str]:
    """What a reader must know of the external hospitals."""
    if external is None:
        return []
    names = ", ".join(sorted(external.auc))
    said = [f"Sealed external: {names}, in no training rows; the final model was judged there once."]
    if not external.together:
        figures = "; ".join(
            f"{name}: AUC {e.value:.2f} ({e.low:.2f} to {e.high:.2f})"
            if e.value is not None and e.low is not None and e.high is not None
            else f"{name}: no AUC of its own (fewer than ten with or without the outcome, or no binary outcome)"
            for name, e in sorted(external.auc.items())
        )
        said.append(f"Fewer than three external hospitals make no total; their own figures: {figures}.")
    return said
