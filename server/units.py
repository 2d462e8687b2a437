"""Units that were mixed up: hospitals' medians compared before anything is trained.

Two rules. More than ten times off is no chance, whatever the column. Five to ten times off is a slip (g/L for g/dL, mm
for cm: tenfold on paper, and real differences on top) where the others agree within twofold and a known unit, or a
power of ten where no unit is known, brings the hospital among them; but not for a column that the study takes the
logarithm of: such medians differ that much by themselves. Drawn from log-normal medians that differ between hospitals
as those of albumin, tumour size, platelets and bilirubin may (standard deviations 0.06, 0.25, 0.2 and 0.3), a tenfold
slip of one of 3 to 10 hospitals is found in 100, 89 to 94, 96 to 98 and 82 to 87 % (by the first rule alone in 27 to
50 %), with no false alarm in 3,000 draws; of follow-up (0.45) in 63 to 71 %, with one false alarm in a thousand.
"""

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
OTHERS_AGREE = 2.0
AMONG_THEM = 1.5
FAR_FROM_EACH = 5.0


def stop_at_unit_errors(study: Study, disclosed: Mapping[str, Disclosed]) -> None:
    """Stop when a hospital's median is more than ten times off the others', or off by what a unit makes of it."""
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
            if _times_off(own, elsewhere) > MOST_TIMES_OFF or _is_a_slip(study, column, own, others, elsewhere):
                faults.append(_describe(study, column, name, own, elsewhere))
    if faults:
        raise StudyStopped(
            "the hospitals do not seem to count in the same units:\n  "
            + "\n  ".join(faults)
            + "\nWrite the lines under columns: there; a unit or factor that a columns.yaml already gives for the "
            "column may be the fault itself. If the difference is real, set compare_medians: false for the column "
            "under variables in study.yaml"
        )


def _times_off(own: float, other: float) -> float:
    return max(own / other, other / own)


def _is_a_slip(study: Study, column: str, own: float, others: list[float], elsewhere: float) -> bool:
    """Whether the others agree, this hospital lies far from each of them, and another unit brings it among them."""
    if study.variable(column).transform in ("log10", "log"):
        return False
    by_distance = sorted(others, key=lambda value: _times_off(value, elsewhere))
    agreeing = by_distance[: len(others) - len(others) // 4]  # one in four may have slipped as well
    low, high = min(agreeing), max(agreeing)
    if high / low > OTHERS_AGREE or min(_times_off(own, value) for value in agreeing) < FAR_FROM_EACH:
        return False
    known = other_units(column, _unit(study, column)) or POWERS_OF_TEN
    factors = [factor for other in known for factor in (other.factor, 1 / other.factor)]  # 1 /: converted twice
    return any(low / AMONG_THEM <= own * factor <= high * AMONG_THEM for factor in factors)


def _unit(study: Study, column: str) -> str | None:
    unit = study.variable(column).unit
    if isinstance(study.outcome, TimedOutcome) and column == study.outcome.time:
        return unit or "d"
    return unit


def _middle(others: list[float], own: float) -> float:
    """The median; of two in the middle, the one nearer to `own`: one stray hospital must not accuse the others."""
    ordered = sorted(others)
    middle = (ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2])
    return min(middle, key=lambda value: abs(log(value / own)))


def _describe(study: Study, column: str, hospital: str, own: float, others: float) -> str:
    unit = _unit(study, column)
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
