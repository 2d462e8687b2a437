"""What stands beside a survival model's figures, as results.json says it (docs/results.md describes every key)."""

from collections.abc import Mapping
from typing import Any

from server.evaluation.comparison import Pair, Tested
from server.evaluation.proportional_hazards import Proportional
from server.finished import Finished
from server.results.comparisons import ratio_of, repeats_by_models, tested_of
from server.results.hospitals import bootstrap_of, subgroups_of

NOT_PROPORTIONAL = 0.05


def survival_between_of(finished: Finished) -> dict[str, Any]:
    """The entries `comparisons`, `bootstrap`, `subgroups` and `proportional_hazards` of the entry `survival`."""
    found = finished.evaluated.between
    return {
        "comparisons": _comparisons(finished, found.compared),
        "bootstrap": bootstrap_of(finished.study, found.drawn, "concordance"),
        "subgroups": subgroups_of(finished.study, found.subgroups),
        "proportional_hazards": {name: _proportional(test) for name, test in found.proportional.items()},
    }


def note_on_proportional_hazards(finished: Finished) -> list[str]:
    """What to do where hazards of the first model are not proportional; a p-value for each column, by Holm."""
    found = finished.evaluated.between.proportional.get("")
    if found is None or found.p_value >= NOT_PROPORTIONAL:
        return []
    named = holm(found)
    which = f" (by itself, corrected by Holm: {', '.join(named)})" if named else ""
    return [
        f"Hazard ratios change with time: the test of proportional hazards has p = {found.p_value:.2g}{which}. "
        "A hazard ratio is then an average over the follow-up; look at the horizons one by one, or ask for an event "
        "at a horizon (outcome.kind: horizon)"
    ]


def holm(found: Proportional) -> list[str]:
    """Columns whose own p-value stands when corrected for their number (Holm 1979)."""
    ordered = sorted(found.columns.items(), key=lambda item: item[1].p_value)
    named = []
    for k, (name, column) in enumerate(ordered):
        if column.p_value * (len(ordered) - k) >= NOT_PROPORTIONAL:
            break
        named.append(name)
    return named


def _comparisons(finished: Finished, compared: Mapping[Pair, Tested]) -> list[dict[str, Any]]:
    """One entry for every two models by the same scheme; repeats are averaged."""
    return [
        {
            "scheme": both.scheme,
            "first": both.first,
            "second": both.second,
            "within_sites": tested_of(repeats),
            "likelihood_ratio": ratio_of(finished.evaluated.use, both.first, both.second),
        }
        for both, repeats in repeats_by_models(compared).items()
    ]


def _proportional(found: Proportional) -> dict[str, Any]:
    return {
        "statistic": found.statistic,
        "degrees": found.degrees,
        "p": found.p_value,
        "columns": {
            name: {"statistic": column.statistic, "p": column.p_value, "slope": column.slope}
            for name, column in found.columns.items()
        },
    }
