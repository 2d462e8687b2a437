"""What a column of the design is called, and what one unit of it means."""

from dataclasses import dataclass, replace

from common.outcomes import HorizonOutcome
from common.study import Study
from common.variables import INDICATOR, Variable

_UNITS = {"a": "years", "mo": "months", "d": "days", "umol/L": "µmol/L", "10^9/L": "10⁹/L", "10*9/L": "10⁹/L"}


@dataclass(frozen=True)
class Column:
    """A column of the design matrix, as the report shows it."""

    name: str
    label: str
    chinese: str | None
    unit: str | None
    transform: str
    step: str
    clinical: bool

    @property
    def has_label(self) -> bool:
        """Whether the label says more than the name."""
        return self.label != self.name

    def own_units(self, value: float) -> float:
        """A transformed value, back in the column's own unit."""
        if self.transform == "log10":
            return float(10.0**value)
        if self.transform == "log":
            return float(2.718281828459045**value)
        if self.transform == "sqrt":
            return float(max(value, 0.0) ** 2)
        return value


def describe(study: Study, name: str) -> Column:
    """A column by its name in the design: `afp`, `child_pugh=B`, `afp:missing`, or a feature's name."""
    source, level, missing = _parts(study, name)
    variable = study.variable(source)
    label, chinese = study.label(source), variable.labels.zh
    clinical = source in study.predictors.clinical
    if missing:
        return Column(name, f"{label}: value missing", chinese, None, "none", "missing vs known", clinical)
    if level is not None:
        reference = variable.levels[0] if variable.levels else "reference"
        return Column(name, f"{label}: {level}", chinese, None, "none", f"{level} vs {reference}", clinical)
    unit = _UNITS.get(variable.unit, variable.unit) if variable.unit else None
    return Column(name, label, chinese, unit, variable.transform, _step(variable, unit), clinical)


def outcome(study: Study) -> Column:
    """The column that the study predicts."""
    column = describe(study, study.outcome_columns()[-1])
    if not isinstance(study.outcome, HorizonOutcome):
        return column
    months = study.outcome.months
    chinese = column.chinese and f"{column.chinese}（{months} 个月内）"
    return replace(column, label=f"{column.label} within {months} months", chinese=chinese)


def _parts(study: Study, name: str) -> tuple[str, str | None, bool]:
    """The variable that a design column comes from, its level, and whether it says 'was missing'."""
    source = name.removesuffix(INDICATOR)
    if source != name and source in study.predictors.clinical:
        return source, None, True
    source, equals, level = name.partition("=")
    if equals and source in study.predictors.clinical:
        return source, level, False
    return name, None, False


def _step(variable: Variable, unit: str | None) -> str:
    if variable.type == "binary":
        low, high = variable.levels or ["no", "yes"]
        return f"{high} vs {low}"
    if variable.transform == "log10":
        return "per tenfold (log10)"
    if variable.transform == "log":
        return "per 2.72-fold (ln)"
    if variable.transform == "sqrt":
        return f"per 1 of √({unit})" if unit else "per 1 of the square root"
    return f"per {_SINGULAR.get(unit, f'1 {unit}')}" if unit else "per 1"


_SINGULAR = {"years": "year", "months": "month", "days": "day"}
