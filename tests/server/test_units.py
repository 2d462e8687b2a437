"""A hospital that counts in other units is noticed before anything is trained."""

import pytest
import yaml

from common.errors import StudyStopped
from common.query import Disclosed
from common.study import Study
from common.units import conversion
from server.units import stop_at_unit_errors
from tests.hospitals_on_disk import study


def platelets(**changes: object) -> Study:
    return study(predictors={"clinical": ["platelets"]}, variables={"platelets": {"unit": "10^9/L", **changes}})


def medians(**values: float) -> dict[str, Disclosed]:
    return {name: Disclosed(medians={"platelets": value}) for name, value in values.items()}


def test_a_thousandfold_median_stops_the_study_and_names_the_likely_unit() -> None:
    with pytest.raises(StudyStopped) as stopped:
        stop_at_unit_errors(platelets(), medians(north=210000, south=200, east=190))
    assert (
        "platelets: the median at north is 210000, elsewhere 200 10^9/L: likely /uL: "
        "write `platelets: {unit: /uL}` in north's columns.yaml\n"
    ) in str(stopped.value)
    assert "median at south" not in str(stopped.value)


@pytest.mark.parametrize(
    ("column", "unit", "north", "elsewhere", "said"),
    [
        ("albumin", "g/L", 4.0, 42.0, "likely g/dL: write `albumin: {unit: g/dL}` in north's columns.yaml"),
        ("albumin", "g/dL", 42.0, 4.0, "likely g/L: write `albumin: {unit: g/L}` in north's columns.yaml"),
        ("bilirubin", "umol/L", 0.9, 16.0, "`bilirubin: {unit: mg/dL}`"),
        ("bilirubin", "mg/dL", 16.0, 0.9, "`bilirubin: {unit: umol/L}`"),
        ("glucose", "mmol/L", 99.0, 5.5, "`glucose: {unit: mg/dL}`"),
        ("os_days", "d", 2.5, 900.0, "`os_days: {unit: years}`"),
        ("fibrosis", "%", 0.2, 21.0, "`fibrosis: {unit: fraction}`"),
        ("fibrosis", "fraction", 21.0, 0.2, "`fibrosis: {unit: '%'}`"),
        ("albumin", None, 4.0, 42.0, "likely 10 times too low: write `albumin: {factor: 10}` in north's"),
        ("albumin", None, 42.0, 4.0, "likely 10 times too high: write `albumin: {factor: 0.1}` in north's"),
        ("score: a", "points", 30.0, 30000.0, "`'score: a': {factor: 1000}`"),
        ("score", "points", 1.0, 32.0, "32 times too low, which no known unit explains"),
    ],
)
def test_the_likely_unit_or_factor_is_named_in_both_directions(
    column: str, unit: str | None, north: float, elsewhere: float, said: str
) -> None:
    protocol = study(predictors={"clinical": [column]}, variables={column: {"unit": unit}})
    values = {"north": north, "south": elsewhere, "east": elsewhere}
    with pytest.raises(StudyStopped) as stopped:
        stop_at_unit_errors(protocol, {n: Disclosed(medians={column: v}) for n, v in values.items()})
    assert said in str(stopped.value)
    assert "median at south" not in str(stopped.value)


def test_the_line_to_paste_brings_the_hospital_to_the_others() -> None:
    for unit, north, elsewhere in (("g/L", 4.0, 42.0), ("g/dL", 42.0, 4.0)):
        protocol = study(predictors={"clinical": ["albumin"]}, variables={"albumin": {"unit": unit}})
        values = {"north": north, "south": elsewhere, "east": elsewhere}
        with pytest.raises(StudyStopped) as stopped:
            stop_at_unit_errors(protocol, {n: Disclosed(medians={"albumin": v}) for n, v in values.items()})
        pasted = yaml.safe_load(str(stopped.value).split("`")[1])["albumin"]["unit"]
        factor = conversion("albumin", pasted, unit)
        assert factor is not None
        assert north * factor == pytest.approx(elsewhere, rel=0.1)


def test_medians_within_ten_times_pass() -> None:
    stop_at_unit_errors(platelets(), medians(north=60, south=200, east=500))


def test_a_study_can_say_that_the_difference_is_real() -> None:
    stop_at_unit_errors(platelets(compare_medians=False), medians(north=210000, south=200, east=190))


def test_two_hospitals_alone_cannot_tell_who_is_wrong() -> None:
    stop_at_unit_errors(platelets(), medians(north=210000, south=200))
