"""A hospital that counts in other units is noticed before anything is trained."""

import numpy as np
import pytest
import yaml

from common.errors import StudyStopped
from common.query import Disclosed, two_significant
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


def of_albumin(values: dict[str, float], **about: object) -> None:
    protocol = study(predictors={"clinical": ["albumin"]}, variables={"albumin": {"unit": "g/L", **about}})
    stop_at_unit_errors(protocol, {name: Disclosed(medians={"albumin": v}) for name, v in values.items()})


def accused(values: dict[str, float]) -> str:
    """Why such a study is stopped; empty where it is not."""
    try:
        of_albumin(values)
    except StudyStopped as stopped:
        return str(stopped)
    return ""


@pytest.mark.parametrize("ratio", [8.0, 9.0, 9.9, 10.0, 10.1, 11.0, 12.0])
@pytest.mark.parametrize("up", [True, False])
def test_a_slip_of_about_ten_times_is_found_where_the_others_agree(ratio: float, up: bool) -> None:
    own = two_significant(42.0 * ratio if up else 42.0 / ratio)
    with pytest.raises(StudyStopped, match=r"albumin: the median at north is .*write `albumin: \{") as stopped:
        of_albumin({"north": own, "south": 42.0, "east": 39.0})
    assert "median at south" not in str(stopped.value)
    assert "median at east" not in str(stopped.value)


def test_two_hospitals_of_six_that_slipped_are_both_named() -> None:
    with pytest.raises(StudyStopped) as stopped:
        of_albumin({"a": 4.1, "b": 3.9, "c": 42, "d": 40, "e": 38, "f": 44})
    assert str(stopped.value).count("likely g/dL") == 2


@pytest.mark.parametrize(
    ("what", "values", "about"),
    [
        ("the others differ as much themselves", {"a": 5.0, "b": 16.0, "c": 42.0, "d": 48.0}, {}),
        ("no unit explains a factor of five", {"a": 8.0, "b": 40.0, "c": 42.0}, {"unit": "umol/L"}),
        ("the study takes the logarithm", {"a": 4.2, "b": 40.0, "c": 42.0}, {"transform": "log10"}),
        ("the study says it is real", {"a": 4.2, "b": 40.0, "c": 42.0}, {"compare_medians": False}),
        ("two alone cannot tell who is wrong", {"a": 4.2, "b": 42.0}, {}),
        ("four times are no slip", {"a": 10.0, "b": 40.0, "c": 41.0}, {}),
    ],
)
def test_what_may_be_a_difference_of_patients_is_let_pass(
    what: str, values: dict[str, float], about: dict[str, object]
) -> None:
    of_albumin(values, **about)


@pytest.mark.parametrize(("spread", "found_at_least"), [(0.06, 0.99), (0.25, 0.85), (0.2, 0.93), (0.3, 0.78)])
def test_tenfold_slips_are_found_and_hospitals_as_they_are_raise_no_alarm(
    spread: float, found_at_least: float
) -> None:
    random, draws, found = np.random.default_rng(7), 300, 0
    for _ in range(draws):
        values = 40 * np.exp(spread * random.standard_normal(4))
        medians = {name: two_significant(float(v)) for name, v in zip("abcd", values, strict=True)}
        of_albumin(medians)
        slipped = medians | {"a": two_significant(values[0] * random.choice([10.0, 0.1]))}
        said = accused(slipped)
        found += "median at a is" in said
        assert not any(f"median at {name} is" in said for name in "bcd")
    assert found / draws >= found_at_least


def test_medians_within_ten_times_pass() -> None:
    stop_at_unit_errors(platelets(), medians(north=60, south=200, east=500))


def test_a_study_can_say_that_the_difference_is_real() -> None:
    stop_at_unit_errors(platelets(compare_medians=False), medians(north=210000, south=200, east=190))


def test_two_hospitals_alone_cannot_tell_who_is_wrong() -> None:
    stop_at_unit_errors(platelets(), medians(north=210000, south=200))
