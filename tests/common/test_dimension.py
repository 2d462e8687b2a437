"""A third of the patients, less one: what hospitals ask for and what the coordinator asks for is one bound."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from client.site import FLOORS, Policy
from common.dimension import columns_allowed, patients_needed


@given(st.integers(0, 10_000))
def test_so_many_columns_are_allowed_as_patients_suffice_for_and_not_one_more(patients: int) -> None:
    allowed = columns_allowed(patients)
    assert 3 * (allowed + 1) == patients_needed(allowed) <= patients < patients_needed(allowed + 1)


def test_every_split_has_its_own_bound() -> None:
    assert columns_allowed(np.array([178, 30, 2])).tolist() == [58, 9, -1]


def test_a_hospital_that_says_nothing_holds_to_the_bound_that_the_coordinator_counts_on() -> None:
    assert patients_needed(9, Policy().patients_per_column) == patients_needed(9) == 30
    assert patients_needed(9, FLOORS["patients_per_column"]) == 30
