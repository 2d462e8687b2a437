"""Usual clinical columns are known by their name and unit, and no others."""

import pytest

from client.cohort.plausible_ranges import is_usual_outcome, plausible


@pytest.mark.parametrize(
    ("column", "unit", "low", "high"),
    [
        ("Age", "years", 15, 105),
        ("tumour_size_cm", "cm", 0.1, 30),
        ("Tumor diameter (mm)", "mm", 1, 300),
        ("Albumin (g/dL)", "g/dL", 1, 7),
        ("TBIL", "umol/L", 1, 1000),
        ("total bilirubin [mg/dL]", "mg/dL", 1 / 17.104, 1000 / 17.104),
        ("血小板", "10^9/L", 3, 1500),
        ("os_months", "months", 0, 20000 / 30.4375),
    ],
)
def test_usual_columns_are_known_by_name_and_unit(column: str, unit: str, low: float, high: float) -> None:
    variable = plausible(column)
    assert variable is not None
    assert variable.unit == unit
    assert variable.range == pytest.approx((low, high))


def test_other_columns_and_unknown_units_are_not_judged() -> None:
    assert plausible("imaging_age_group") is None
    assert plausible("albumin (stones)") is None
    assert not any(map(is_usual_outcome, ("age", "recurrence_site", "survivor")))
    assert all(map(is_usual_outcome, ("MVI", "os_days", "Early recurrence")))
