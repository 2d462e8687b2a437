"""How hospitals differ, hospitals drawn anew, and subgroups, as results.json says it (keys: docs/results.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from common.query import SMALLEST_CELL
from common.splits import APPARENT
from common.study import Study
from common.whole_hospitals import trains
from server.evaluation.bootstrap import Drawn
from server.evaluation.heterogeneity import heterogeneity
from server.evaluation.hospital_name import auc_of_the_name
from server.evaluation.subgroups import Group


def name_of(study: Study, sites: Mapping[str, Mapping[str, Any]], events: int) -> dict[str, float] | None:
    """The entry `hospital_name`, from the entry `sites` as the report shows it; None where outcomes are not two."""
    if study.outcome.kind != "binary":
        return None
    there = {name: site for name, site in sites.items() if site["in_final_roster"] and trains(study, name)}
    found = auc_of_the_name(
        {name: site["patients"] for name, site in there.items()},
        {name: site["events"] for name, site in there.items()},
        events,
    )
    return None if found is None else asdict(found)


def heterogeneity_of(
    performance: Mapping[str, Mapping[str, Any]], survival: Mapping[str, Any] | None
) -> dict[str, dict[str, Any] | None]:
    """The entry `heterogeneity`, from the entries `performance` and `survival`: the first model's held-out schemes."""
    if survival is not None:
        performance = survival["performance"][""]
    found: dict[str, dict[str, Any] | None] = {}
    for label, judged in performance.items():
        if label == APPARENT:
            continue
        own = {name: site.get("auc") or site["concordance"] for name, site in judged["by_site"].items()}
        known = {name: (c["value"], c["standard_error"]) for name, c in own.items() if c["value"] is not None}
        together = heterogeneity(known)
        found[label] = None if together is None else asdict(together) | {"left_out": list(together.left_out)}
    return found


def bootstrap_of(study: Study, drawn: Mapping[str, Drawn], figure: str) -> dict[str, Any] | None:
    """An entry `bootstrap`; None where the study asks for none, or draws another figure."""
    drawn_here = "concordance" if study.outcome.kind == "survival" else "auc"
    if not study.validation.bootstrap or figure != drawn_here:
        return None
    return {
        "replicates": study.validation.bootstrap,
        figure: {
            label: {"overall": asdict(found.overall), "within_sites": asdict(found.within_sites)}
            for label, found in drawn.items()
        },
    }


def subgroups_of(study: Study, groups: Sequence[Group[Any]]) -> list[dict[str, Any]]:
    """An entry `subgroups`: a column each."""
    columns = dict.fromkeys(group.column for group in groups)
    return [
        {
            "column": column,
            "label": study.label(column),
            "groups": _groups([group for group in groups if group.column == column]),
        }
        for column in columns
    ]


def _groups(groups: Sequence[Group[Any]]) -> list[dict[str, Any]]:
    hidden = _hidden_events(groups)
    return [
        {
            "name": group.name,
            "patients": group.patients,
            "events": None if group in hidden or len(group.classes) > 2 else group.classes[1],
            "found": {label: asdict(judged) for label, judged in group.found.items()},
        }
        for group in groups
    ]


def _hidden_events(groups: Sequence[Group[Any]]) -> list[Group[Any]]:
    """Subgroups whose events would show one to four patients; where it is one, the next smallest is hidden too."""
    hidden = [group for group in groups if 0 < group.smaller < SMALLEST_CELL]
    others = sorted((group for group in groups if group not in hidden), key=lambda group: group.smaller)
    return hidden + others[:1] if len(hidden) == 1 else hidden
