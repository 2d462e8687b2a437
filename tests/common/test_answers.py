"""What hospitals send adds up to the same bits every time, and is as coarse as the closed list says."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.errors import Code
from common.query import Answer, Disclosed, add, two_significant

NAMES = ["cedar", "alder", "birch", "dogwood"]


@given(
    st.lists(st.lists(st.floats(width=64), min_size=3, max_size=3), min_size=4, max_size=4), st.permutations(NAMES)
)
def test_the_total_has_the_same_bits_in_any_order_of_arrival(
    values: list[list[float]], arrival: list[str]
) -> None:
    answers = {
        name: Answer(sums={"x": np.array(v), "n": np.array(v[0])}) for name, v in zip(NAMES, values, strict=True)
    }
    with np.errstate(all="ignore"):
        in_order, as_arrived = add(answers), add({name: answers[name] for name in arrival})
    for key in ("x", "n"):
        assert in_order.sums[key].tobytes() == as_arrived.sums[key].tobytes()
        assert in_order.sums[key].shape == answers["cedar"].sums[key].shape


def test_hospitals_are_added_by_name_because_the_order_shows_in_the_last_bit() -> None:
    parts = {"a": 0.1, "b": 0.2, "c": 0.3}
    total = add({name: Answer(sums={"x": np.array([parts[name]])}) for name in ("c", "b", "a")})
    assert total.sums["x"][0] == (0.1 + 0.2) + 0.3
    assert total.sums["x"][0] != 0.1 + (0.2 + 0.3)


def test_adding_leaves_the_answers_as_they_were() -> None:
    first = np.array([1.0, 2.0])
    first.setflags(write=False)
    total = add({"a": Answer(sums={"x": first}), "b": Answer(sums={"x": np.array([1.0, 1.0])})})
    assert total.sums["x"].tolist() == [2.0, 3.0]
    assert first.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("other", [{"x": np.zeros(3)}, {"x": np.zeros((2, 1))}, {"y": np.zeros(2)}, {}])
def test_sums_of_different_shapes_do_not_add(other: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="different shapes"):
        add({"a": Answer(sums={"x": np.zeros(2)}), "b": Answer(sums=other)})


def test_nobody_adds_to_nothing() -> None:
    assert add({}).sums == {}


@pytest.mark.parametrize(
    ("finer", "said"),
    [
        ({"missing": {"afp": 4}}, "below 5"),
        ({"events": 4}, "greater than or equal to 5"),
        ({"patients": 40, "events": 36}, "leaves fewer than 5"),
        ({"medians": {"afp": 12.3}}, "two significant"),
        ({"medians": {"afp": math.nan}}, "finite"),
        ({"medians": {"afp": math.inf}}, "finite"),
        ({"auc": {"final": (0.7512, 0.02)}}, "three decimals"),
        ({"auc": {"final": (0.751, 0.0213)}}, "three decimals"),
        ({"auc": {"final": (math.inf, 0.02)}}, "finite"),
        ({"calibration": {"final": (1.0001, 0.0)}}, "three decimals"),
        ({"patients": -1}, "greater than or equal to 0"),
        ({"roc": [[0.0, 1.0]]}, "Extra inputs"),
        ({"code": "patient 17 has no age"}, "Input should be"),
    ],
)
def test_a_figure_finer_than_the_closed_list_does_not_exist(finer: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Disclosed(**finer)


def test_figures_as_coarse_as_the_closed_list_are_sent() -> None:
    sent = Disclosed(
        hospital="alder",
        patients=40,
        events=35,
        missing={"afp": 5},
        medians={"afp": 23.0, "days": 1200.0, "albi": -0.0025},
        auc={"final": (0.751, 0.021)},
        calibration={"final": (1.013, -0.204)},
    )
    assert Disclosed.model_validate_json(sent.model_dump_json(exclude_defaults=True)) == sent


def test_a_refusal_holds_a_code_and_no_figure() -> None:
    refusal = Answer.refusal(Code.TOO_FEW_PATIENTS, "alder")
    assert refusal.sums == {}
    assert refusal.disclosed.model_dump(exclude_defaults=True) == {
        "hospital": "alder",
        "code": Code.TOO_FEW_PATIENTS,
    }


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.0, 0.0), (12.34, 12.0), (0.012345, 0.012), (99.6, 100.0), (-1234.0, -1200.0), (1e-12, 1e-12), (5.0, 5.0)],
)
def test_two_significant_digits(value: float, rounded: float) -> None:
    assert two_significant(value) == rounded


@given(st.floats(allow_nan=False, allow_infinity=False, max_value=1e300, min_value=-1e300))
def test_what_has_been_rounded_is_accepted_and_close(value: float) -> None:
    rounded = two_significant(value)
    assert abs(rounded - value) <= 0.0500001 * abs(value) + 1e-322
    assert Disclosed(medians={"x": rounded}).medians == {"x": rounded}
