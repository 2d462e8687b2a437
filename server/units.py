"""Units that were mixed up: hospitals' medians compared before anything is trained."""

from collections.abc import Mapping

import numpy as np

from common.errors import StudyStopped
from common.query import Disclosed
from common.study import Study

MOST_TIMES_OFF = 10.0
_LIKELY = (
    (10.0, "counted per ten of the study's unit, e.g. albumin in g/L where the study means g/dL"),
    (17.1, "bilirubin in µmol/L where the study means mg/dL"),
    (18.0, "glucose in mg/dL where the study means mmol/L"),
    (30.4, "days where the study means months"),
    (88.4, "creatinine in µmol/L where the study means mg/dL"),
    (365.25, "days where the study means years"),
    (1e3, "a prefix of a thousand: µg for mg, mL for L, cells per nL for cells per µL"),
    (1e6, "a prefix of a million: µg for g, cells per L for cells per µL"),
)
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
            times = own / float(np.median(others))
            if max(times, 1 / times) > MOST_TIMES_OFF:
                faults.append(_describe(study, column, name, own, float(np.median(others))))
    if faults:
        raise StudyStopped(
            "the hospitals do not seem to count in the same units:\n  "
            + "\n  ".join(faults)
            + "\nMend the unit in that hospital's columns.yaml (unit or factor); if the difference is real, set "
            "compare_medians: false for the column under variables in study.yaml"
        )


def _describe(study: Study, column: str, hospital: str, own: float, others: float) -> str:
    times = own / others
    unit = study.variable(column).unit
    text = f"{column}: the median at {hospital} is {own:g}, elsewhere {others:g}{' ' + unit if unit else ''}"
    factor = max(times, 1 / times)
    near, likely = min(_LIKELY, key=lambda entry: abs(np.log(factor / entry[0])))
    if max(factor / near, near / factor) > NEAR:
        return text
    direction = likely if times > 1 else f"the other way round: {likely}"
    return f"{text}: likely {direction} (factor {1 / near if times > 1 else near:g})"
