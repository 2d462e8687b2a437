"""report.html: one self-contained file made from results.json, the same bytes for the same results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from common.study import Study
from common.whole_files import AS_THE_UMASK_SAYS, whole
from server.report import (
    columns,
    differences,
    harmonisation,
    horizon,
    hospitals,
    membership,
    model,
    network,
    numerals,
    performance,
    released,
    remarks,
    selection,
    side_by_side,
    stability,
    survival,
    survival_tests,
    use,
    words,
)
from server.report.curves import draw_calibration, draw_roc
from server.report.flow import draw_flow
from server.report.forest import LARGEST_SHOWN, draw_coefficients, draw_forest
from server.report.page import page

_SECTIONS = (
    ("summary", "Summary", ""),
    ("hospitals", "Hospitals", ""),
    ("patients", "Patients", "clinicians: this and the summary first"),
    ("performance", "Performance", "statisticians: sections 4 to 7"),
    ("usefulness", "Usefulness", ""),
    ("models", "Models side by side", ""),
    ("model", "Model", ""),
    ("preprocessing", "Preprocessing", ""),
    ("stability", "Stability of features", ""),
    ("selection", "Choice of features", ""),
    ("harmonisation", "Harmonisation", ""),
    ("released", "What left each hospital", "security officers: start here"),
    ("origin", "Origin and versions", ""),
)
_OPTIONAL = {
    "usefulness": "useful",
    "models": "side_by_side",
    "stability": "stable",
    "selection": "selection",
    "harmonisation": "harmonised",
}
"""The sections that not every study has, and what the templates call their content."""
_NAMES = ("Cox", "Child", "Edmondson", "Ishak", "Barcelona", "Milan")
"""With which persons' and places' names a model or an outcome may begin."""


@dataclass(frozen=True)
class Asked:
    """The study's question in a few words."""

    outcome: str
    columns: int
    sources: str
    model: str
    hospitals: int
    repeated: bool
    transductive: bool
    with_errors: bool
    events_a_column: str


def write_report(results: dict[str, Any], path: Path) -> None:
    """Write the report of a study; the file is there whole or not at all.

    Parameters
    ----------
    results
        The content of results.json (docs/results.md).
    path
        Where report.html goes.
    """
    with whole(path, AS_THE_UMASK_SAYS) as file:
        file.write(render(results))


def render(results: Mapping[str, Any]) -> str:
    """The report as text."""
    return page("report.html.j2", **_content(results))


def _asked(results: Mapping[str, Any], study: Study) -> Asked:
    events, used = results["cohort"]["events"], model.used(results, study)
    return Asked(
        outcome=_lower_first(columns.outcome(study).label),
        columns=len(used),
        sources=_sources(used),
        model=_lower_first(model.penalty(results)),
        hospitals=sum(site["in_final_roster"] for site in results["sites"].values()),
        repeated=any(scheme["repeats"] > 1 for scheme in results["performance"].values()),
        transductive=any(performance.is_transductive(results, name) for name in results["performance"]),
        with_errors=results["model"]["standard_errors"] is not None,
        events_a_column=numerals.significant(events / len(used), 2) if used else "–",
    )


def _content(results: Mapping[str, Any]) -> dict[str, Any]:
    """All tables, figures and sentences of the report."""
    study = Study.from_content(results["study"]["content"], "results.json")
    parts = _optional(results, study)
    return {
        "results": results,
        "title": results["study"]["title"] or results["study"]["name"],
        "study": study,
        "study_yaml": yaml.safe_dump(results["study"]["content"], allow_unicode=True, sort_keys=True, width=100),
        "outcome": columns.outcome(study),
        "asked": _asked(results, study),
        "sections": [s for s in _SECTIONS if s[0] not in _OPTIONAL or parts[_OPTIONAL[s[0]]]],
        "words": words,
        "protected": _is_protected(results["protection"]),
        "remarks": remarks.remarks(results),
        "queries": released.queries(results),
        "totals": released.totals(results),
        "fingerprints": released.fingerprints(results),
        **parts,
        **_patients(results, study),
        **_performance(results, study),
        **_model(results, study),
    }


def _optional(results: Mapping[str, Any], study: Study) -> dict[str, Any]:
    return {
        "harmonised": harmonisation.section(results, study),
        "stable": stability.section(results, study),
        "selection": selection.section(results, study),
        "useful": use.section(results),
        "side_by_side": side_by_side.side_by_side(results),
    }


def _patients(results: Mapping[str, Any], study: Study) -> dict[str, Any]:
    return {
        "hospitals": hospitals.hospitals(results, study),
        "away": hospitals.away(results),
        "medians": hospitals.medians(results, study),
        "criteria": hospitals.criteria(study),
        "characteristics": hospitals.characteristics(results, study),
        "flow": draw_flow(results),
    }


def _performance(results: Mapping[str, Any], study: Study) -> dict[str, Any]:
    return {
        "headlines": survival.headlines(results)
        if results.get("survival")
        else performance.headlines(results, _lower_first(columns.outcome(study).label)),
        "survival": survival.section(results),
        "horizon": horizon.section(results),
        "schemes": performance.rows(results),
        "by_hospital": performance.by_hospital(results),
        "by_class": performance.by_class(results),
        "too_few_for_own": performance.TOO_FEW_FOR_OWN if performance.own_figures_missing(results) else "",
        "roc": draw_roc(results),
        "calibration": draw_calibration(results),
        "forest": draw_forest(results),
        "membership": membership.section(results),
        "differences": differences.between(results),
        "beside": survival_tests.beside(results),
    }


def _model(results: Mapping[str, Any], study: Study) -> dict[str, Any]:
    coefficients = model.coefficients(results, study)
    return {
        "coefficients": coefficients,
        "coefficients_figure": draw_coefficients(coefficients),
        "largest_shown": min(LARGEST_SHOWN, len(coefficients)),
        "shown": model.SHOWN,
        "unused": model.unused(results, study),
        "penalty": model.penalty(results),
        "network": network.section(study, results),
        "prepared": model.prepared(results, study),
        "imputation": model.imputation(results),
        "harmonisation": model.harmonisation(results, study),
    }


def _sources(used: Sequence[columns.Column]) -> str:
    """How many columns are clinical and how many are image features."""
    clinical = sum(column.clinical for column in used)
    parts = [f"{clinical} clinical"] if clinical else []
    parts += [f"{len(used) - clinical} image features"] if len(used) > clinical else []
    return ", ".join(parts) or "none could be used"


def _is_protected(protection: Mapping[str, Any]) -> bool:
    return protection["secure_sums"] and protection["gate"] and not protection["lower_profile"]


def _lower_first(label: str) -> str:
    """A label within a sentence; an abbreviation stays as it is, and so does a name."""
    if label.startswith(_NAMES):
        return label
    return label[:1].lower() + label[1:] if label[1:2].islower() else label
