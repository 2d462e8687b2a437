"""Plausible values of the columns that liver-cancer studies usually have, for where a study gives no range.

Wide on purpose: a value outside is a slip of the pen or another unit, not a sick patient. Columns are known by their
names; a unit in the name (tumour_size_cm, albumin (g/dL)) counts.
"""

import re
from dataclasses import dataclass

from common.texts import normal_text
from common.units import conversion
from common.variables import Variable


@dataclass(frozen=True)
class PlausibleRange:
    """One line of the table.

    Parameters
    ----------
    names
        A pattern of what the column is called, in small letters with _ between words and without its unit.
    unit
        The unit of `lowest` and `highest`, and of a column that tells none; empty where there is none.
    """

    names: str
    unit: str
    lowest: float
    highest: float


PLAUSIBLE: tuple[PlausibleRange, ...] = (
    PlausibleRange(r"age|age_at_\w+|年龄", "years", 15, 105),
    PlausibleRange(r"afp|alpha_?fetoprotein|甲胎蛋白", "ng/mL", 0, 5e6),
    PlausibleRange(
        r"((largest|max|maximum|maximal)_)?(tumou?r|lesion|nodule)_(size|diameter)|major_dim|肿瘤(最大)?(直?径|大小)",
        "mm",
        1,
        300,
    ),
    PlausibleRange(r"(number_of_)?(tumou?rs?|lesions?|nodules?)(_(number|count))?|肿瘤数目", "", 1, 100),
    PlausibleRange(r"alb|albumin|白蛋白", "g/L", 10, 70),
    PlausibleRange(r"(t|total_)?bil(i|irubin)?|tbil|总?胆红素", "umol/L", 1, 1000),
    PlausibleRange(r"plt|platelets?|platelet_count|血小板(计数)?", "10^9/L", 3, 1500),
    PlausibleRange(r"alt|ast|gpt|got|alanine_\w+|aspartate_\w+|谷[丙草]转氨酶", "IU/L", 1, 20000),
    PlausibleRange(r"ggt|alp|gamma_?gt|alkaline_phosphatase", "IU/L", 1, 10000),
    PlausibleRange(r"crea|creat|creatinine|肌酐", "umol/L", 10, 2500),
    PlausibleRange(r"glu|glucose|血糖", "mmol/L", 1, 60),
    PlausibleRange(r"ha?emoglobin|hb|hgb|血红蛋白", "g/L", 30, 250),
    PlausibleRange(r"wbc|leu[ck]ocytes|白细胞", "10^9/L", 0.1, 500),
    PlausibleRange(r"inr", "", 0.5, 20),
    PlausibleRange(r"albi|albi_score", "", -6, 2),
    PlausibleRange(r"meld(_(na|score))?", "", 0, 60),
    PlausibleRange(r"child_pugh_(score|points)", "", 5, 15),
    PlausibleRange(r"bmi|body_mass_index", "", 10, 80),
    PlausibleRange(r"(os|rfs|dfs|pfs|ttp|efs|dfi|pfi)(_(time|follow_up))?|follow_up(_time)?", "d", 0, 20000),
)

OUTCOMES = re.compile(
    r"mvi|microvascular_invasion|微血管侵犯|(early_)?recurrence|response|death|died|outcome|survival"
    r"|(os|rfs|dfs|pfs|ttp|efs|dfi|pfi)(_(days|months|years|time|event|status))?"
)
"""What outcomes are usually called, in small letters with _ between words."""

_UNIT_IN_BRACKETS = re.compile(r"[(\[（]([^)\]）]+)[)\]）]")
_UNIT_AT_THE_END = re.compile(r"_(mm|cm|days|months|years)$")


def plausible(column: str, unit: str | None = None) -> Variable | None:
    """The column as the table knows it; None where it does not, or where its unit is not known.

    Parameters
    ----------
    unit
        What the values are counted in; None: what the column's name tells, else the table's own unit.
    """
    name, told = _name_and_unit(column)
    for row in PLAUSIBLE:
        if not re.fullmatch(row.names, name):
            continue
        counted_in = unit or told or row.unit
        factor = 1.0 if counted_in == row.unit else conversion(name, row.unit, counted_in)
        if factor is None:
            return None
        return Variable(unit=counted_in or None, range=(row.lowest * factor, row.highest * factor))
    return None


def is_usual_outcome(column: str) -> bool:
    """Whether a column is called as outcomes usually are."""
    return OUTCOMES.fullmatch(_words(column)) is not None


def _words(column: str) -> str:
    return re.sub(r"[\W_]+", "_", normal_text(column).casefold()).strip("_")


def _name_and_unit(column: str) -> tuple[str, str | None]:
    bracketed = _UNIT_IN_BRACKETS.search(normal_text(column))
    name = _words(_UNIT_IN_BRACKETS.sub("", normal_text(column)))
    if bracketed:
        return name, bracketed.group(1).strip()
    at_end = _UNIT_AT_THE_END.search(name)
    return (name[: at_end.start()], at_end.group(1)) if at_end else (name, None)
