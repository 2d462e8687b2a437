"""Units that were mixed up: hospitals' medians compared before anything is trained."""

from collections.abc import Mapping
from math import log

import yaml

from common.errors import StudyStopped
from common.outcomes import TimedOutcome
from common.query import Disclosed
from common.study import Study
from common.units import POWERS_OF_TEN, OtherUnit, other_units

MOST_TIMES_OFF = 10.0
NEAR = 2.5


def stop_at_unit_errors(study: Study, disclosed: Mapping[str, Disclosed]) -> None:
    """Stop when a hospital's median is more than ten times off the median of the others'."""
    faults = []
    for column in sorted({name for figures in disclosed.values() for name in figures.medians}):
        if not study.variable(column).compare_medians:
            continue
        medians = {name: f.medians[column] for name, f in disclosed.items() if f.medians.get(column, 0) > 0}
        for name, own in medians.items():
            others = [value for other, value in medians.items() if other != name]
            if len(others) < 2:
                continue
            elsewhere = _middle(others, own)
            if max(own / elsewhere, elsewhere / own) > MOST_TIMES_OFF:
                faults.append(_describe(study, column, name, own, elsewhere))
    if faults:
        raise StudyStopped(
            "the hospitals do not seem to count in the same units:\n  "
            + "\n  ".join(faults)
            + "\nWrite the lines under columns: there; a unit or factor that a columns.yaml already gives for the "
            "column may be the fault itself. If the difference is real, set compare_medians: false for the column "
            "under variables in study.yaml"
        )


def _middle(others: list[float], own: float) -> float:
    """The median; of two in the middle, the one nearer to `own`: one stray hospital must not accuse the others."""
    ordered = sorted(others)
    middle = (ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2])
    return min(middle, key=lambda value: abs(log(value / own)))


def _describe(study: Study, column: str, hospital: str, own: float, others: float) -> str:
    unit = study.variable(column).unit
    if isinstance(study.outcome, TimedOutcome) and column == study.outcome.time:
        unit = unit or "d"
    text = f"{column}: the median at {hospital} is {own:g}, elsewhere {others:g}{' ' + unit if unit else ''}"
    likely = _likely(column, unit, others / own)
    if likely is None:
        times = f"{own / others:.3g} times too high" if own > others else f"{others / own:.3g} times too low"
        return f"{text}: {times}, which no known unit explains; check the column in {hospital}'s data"
    if likely.unit:
        return f"{text}: likely {likely.unit}: write `{_line(column, 'unit', likely.unit)}` in {_file(hospital)}"
    times = f"{1 / likely.factor:g} times too high" if own > others else f"{likely.factor:g} times too low"
    return f"{text}: likely {times}: write `{_line(column, 'factor', likely.factor)}` in {_file(hospital)}"


def _likely(column: str, unit: str | None, factor: float) -> OtherUnit | None:
    """The unit whose numbers become the study's by about this factor; else a power of ten; None where neither does."""
    for candidates in (other_units(column, unit), POWERS_OF_TEN):
        best = min(candidates, key=lambda other: abs(log(factor / other.factor)), default=None)
        if best is not None and abs(log(factor / best.factor)) <= log(NEAR):
            return best
    return None


def _line(column: str, key: str, value: str | float) -> str:
    """A line of columns.yaml, quoted where YAML needs it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return yaml.safe_dump({column: {key: value}}, default_flow_style=True, allow_unicode=True, width=10**6)[1:-2]


def _file(hospital: str) -> str:
    return f"{hospital}'s columns.yaml"
