"""Numbers written as text: the same value by the quick and the slow way, and nothing guessed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.cohort.columns_file import MISSING
from client.cohort.decimals import DecimalMarks, read_numbers

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def numbers(cells: list[str], delimiter: str = ",", **values: float) -> tuple[list[float], list[int]]:
    marks = DecimalMarks.of(delimiter, [cells])
    read, unreadable = read_numbers(cells, marks, MISSING, values)
    return read.tolist(), unreadable


@given(values=st.lists(FINITE, min_size=1), delimiter=st.sampled_from([",", ";", "\t"]))
def test_written_numbers_are_read_back_to_the_last_bit(values: list[float], delimiter: str) -> None:
    cells = [repr(value) for value in values]
    quick, unreadable = numbers(cells, delimiter)
    assert not unreadable
    assert quick == values
    slow, unreadable = numbers([*cells, "NA"], delimiter)
    assert not unreadable
    assert slow[:-1] == values
    assert np.isnan(slow[-1])


@given(values=st.lists(FINITE, min_size=1))
def test_decimal_commas_are_read_back_where_semicolons_part_the_columns(values: list[float]) -> None:
    cells = [repr(value).replace(".", ",") for value in values]
    for tail in ([], ["NA"]):
        read, unreadable = numbers(cells + tail, ";")
        assert not unreadable
        assert read[: len(values)] == values


@given(st.lists(st.text(max_size=6) | FINITE.map(repr) | st.sampled_from(["inf", "nan", "1_0", "", "1e999"])))
def test_a_cell_is_a_finite_number_or_missing_or_unreadable(cells: list[str]) -> None:
    read, unreadable = numbers([cell.strip().replace("\0", "") for cell in cells])
    assert not np.isinf(read).any()
    assert all(np.isnan(read[row]) for row in unreadable)


@pytest.mark.parametrize("text", ["inf", "-Infinity", "1e999", "1_000", "0x10", "1 000", "1,000", "１ 2", "10^2"])
def test_what_only_looks_like_a_number_is_unreadable(text: str) -> None:
    assert numbers(["1.5", text])[1] == [1]


@pytest.mark.parametrize("text", ["", "NA", "n/a", "NaN", "null", "None", ".", "-", "?"])
def test_the_usual_texts_for_not_known_are_missing(text: str) -> None:
    read, unreadable = numbers(["1.5", text])
    assert not unreadable
    assert np.isnan(read[1])


def test_a_comma_is_a_decimal_comma_only_where_it_must_be() -> None:
    assert numbers(["3,5", "1,210"], ";") == ([3.5, 1.21], [])
    assert numbers(["3,5", "1,210"], "\t") == ([3.5, 1.21], [])
    assert numbers(["12", "1,210"], "\t")[1] == [1]  # an American export may mean 1210
    assert numbers(["3.5", "1,210"], ";")[1] == [1]
    assert numbers(["3,5", "1.210"], ";")[1] == [1]  # a German one too
    assert numbers(["3.5", "1.210"], ";") == ([3.5, 1.21], [])


def test_texts_may_stand_for_numbers_and_numbers_for_not_known() -> None:
    read, unreadable = read_numbers(
        [">1210", "999", "999.0", "5"], DecimalMarks(), MISSING | {"999"}, {">1210": 1210}
    )
    assert not unreadable
    np.testing.assert_array_equal(read, [1210, np.nan, np.nan, 5])
