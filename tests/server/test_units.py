"""A hospital that counts in other units is noticed before anything is trained."""

import pytest

from common.errors import StudyStopped
from common.query import Disclosed
from common.study import Study
from server.units import stop_at_unit_errors
from tests.hospitals_on_disk import study


def platelets(**changes: object) -> Study:
    return study(predictors={"clinical": ["platelets"]}, variables={"platelets": {"unit": "10^9/L", **changes}})


def medians(**values: float) -> dict[str, Disclosed]:
    return {name: Disclosed(medians={"platelets": value}) for name, value in values.items()}


def test_a_thousandfold_median_stops_the_study_and_names_the_likely_unit() -> None:
    with pytest.raises(
        StudyStopped, match=r"platelets: the median at north is 210000, elsewhere 195 10\^9/L"
    ) as stopped:
        stop_at_unit_errors(platelets(), medians(north=210000, south=200, east=190))
    assert "thousand" in str(stopped.value)
    assert "factor 0.001" in str(stopped.value)


def test_a_median_a_thousand_times_too_small_is_multiplied() -> None:
    with pytest.raises(StudyStopped, match="factor 1000"):
        stop_at_unit_errors(platelets(), medians(north=0.21, south=200, east=190))


def test_medians_within_ten_times_pass() -> None:
    stop_at_unit_errors(platelets(), medians(north=60, south=200, east=500))


def test_a_study_can_say_that_the_difference_is_real() -> None:
    stop_at_unit_errors(platelets(compare_medians=False), medians(north=210000, south=200, east=190))


def test_two_hospitals_alone_cannot_tell_who_is_wrong() -> None:
    stop_at_unit_errors(platelets(), medians(north=210000, south=200))
