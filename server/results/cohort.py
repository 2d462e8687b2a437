"""The hospitals and their patients, as results.json says it (docs/results.md describes every key)."""

from typing import Any

from common.query import SMALLEST_CELL
from common.variables import INDICATOR
from common.whole_hospitals import trains
from server.finished import QUARTILES, Finished
from server.results.small_cells import events_by_site, known_or_none


def sites_of(finished: Finished) -> dict[str, Any]:
    """The key `sites`: what each hospital said of itself at the roll call."""
    disclosed = finished.present.disclosed
    events = events_by_site(disclosed, finished.roster)
    return {
        name: {
            "patients": disclosed[name].patients,
            "events": events[name],
            "missing": dict(sorted(disclosed[name].missing.items())),
            "scanners": list(disclosed[name].scanners),
            "medians": dict(sorted(disclosed[name].medians.items())),
            "fingerprint": dict(sorted(disclosed[name].fingerprint.items())),
            "in_final_roster": name in finished.roster,
        }
        for name in finished.present.roster
    }


def known_in(finished: Finished, j: int) -> int | None:
    """How many patients have a value in a column, unless one to four missing ones would follow from it."""
    name = finished.groundwork.prepared.columns[j]
    source = name.partition("=")[0] if name.partition("=")[0] in finished.study.predictors.clinical else name
    missing = [
        finished.present.disclosed[h].missing.get(source, 0) for h in finished.roster if trains(finished.study, h)
    ]
    if name.endswith(INDICATOR):
        missing = []
    patients = finished.apparent.patients
    return known_or_none(int(finished.groundwork.prepared.known[0, j]), patients, missing)


def cohort_of(finished: Finished) -> dict[str, Any]:
    """The key `cohort`: clinical columns, quartiles of numbers and carriers of levels; none of a few patients."""
    study, prepared = finished.study, finished.groundwork.prepared
    apparent = finished.apparent
    variables = {}
    for row, name in enumerate(finished.groundwork.quartile_columns):
        variable = study.variable(name)
        j = prepared.columns.index(name)
        variables[name] = {
            "label": study.label(name),
            "unit": variable.unit,
            "transform": variable.transform,
            "known": known_in(finished, j),
            "quartiles": dict(
                zip((f"{q:g}" for q in QUARTILES), map(float, finished.groundwork.quartiles[row]), strict=True)
            ),
        }
    for j, name in enumerate(prepared.columns):
        source, _, level = name.partition("=")
        if source in study.predictors.clinical and source not in variables and ":" not in name:
            entry = variables.setdefault(name, {"label": f"{study.label(source)}{' ' + level if level else ''}"})
            carriers = round(float(prepared.carriers[0, j]))
            others = int(prepared.known[0, j]) - carriers
            entry["known"] = known_in(finished, j)
            few = prepared.rare[j] or min(carriers, others) < SMALLEST_CELL
            entry["carriers"] = None if few else carriers
    return {"patients": apparent.patients, "events": apparent.events, "variables": variables}
