"""Test and retest: a second measurement of the same patients, taken through the same views.

The second measurement is harmonised by what was learned from the first: γ and δ come from the training rows.
"""

from dataclasses import dataclass

import numpy as np

from client.cohort.cohort import Cohort
from client.cohort.columns_file import read_columns_file
from client.cohort.faults import some
from client.cohort.features_file import read_features
from client.members import Members
from client.rows import Rows
from client.site import Site
from client.steps import Fitted
from client.view import STEPS
from common.errors import Code, HospitalError
from common.splits import FINAL
from common.study import Study
from common.whole_hospitals import trains

FEWEST_PAIRS = 10
"""Below this many patients measured twice a hospital says nothing of them, nor of a feature that fewer have twice."""


@dataclass(frozen=True)
class _MeasuredTwice(Members):
    """The cohort twice over: the first measurements teach, the second ones are only harmonised."""

    def training(self, split: str) -> np.ndarray:
        """A mask of the rows that a split trains on: none of the second measurements."""
        first = super().training(split)
        return np.concatenate([first, np.zeros_like(first)])

    def batches(self) -> np.ndarray:
        """The batch of every row."""
        return np.tile(super().batches(), 2)

    def levels(self, variable: str) -> np.ndarray:
        """Every row's level of a batch variable."""
        return np.tile(super().levels(variable), 2)


def pairs_in(rows: Rows) -> int:
    """How many patients of the cohort were measured twice; 0 where no feature has ten of them."""
    patients, second = second_measurement(rows.site, rows.study, rows.cohort)
    return len(patients) if (~np.isnan(rows.cohort.features + second)).sum(axis=0).max(initial=0) else 0


def measured_twice(rows: Rows, view_hash: str) -> tuple[np.ndarray, np.ndarray]:
    """First and second measurements as a view of the final model shows them; no row for fewer than ten pairs.

    Columns are the view's; a cell that is missing in either measurement is NaN in both.
    """
    patients, second = second_measurement(rows.site, rows.study, rows.cohort)
    if not len(patients):
        width = rows.views.matrix(view_hash, FINAL).shape[1]
        return np.zeros((0, width)), np.zeros((0, width))
    chain = rows.views.chain(view_hash)
    names = [str(name) for name in chain[-1].parameters["columns"]]
    first = rows.views.matrix(chain[-1].hash, FINAL)
    again = first.copy()
    kept = [j for j, name in enumerate(rows.cohort.feature_names) if name in names]  # unstable ones are left out
    columns, second = [names.index(rows.cohort.feature_names[j]) for j in kept], second[:, kept]
    again[:, columns] = second
    matrix = np.vstack([first, again])
    gaps = np.zeros_like(first, dtype=bool)
    gaps[:, columns] = np.isnan(first[:, columns]) | np.isnan(second)
    twice = _MeasuredTwice(**vars(rows.members))
    for view in reversed(chain[:-1]):
        matrix = STEPS[view.step](matrix, Fitted(view, FINAL, twice))
    if matrix.shape[1] != len(names):
        raise HospitalError(Code.BAD_PARAMETERS, "test and retest need a view with all columns of the design")
    matrix[np.vstack([gaps, gaps])] = np.nan
    return matrix[: len(first)][patients], matrix[len(first) :][patients]


def second_measurement(site: Site, study: Study, cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """The patients measured twice, by number, and the second measurement of the whole cohort, NaN without one.

    A feature that fewer than ten patients have in both measurements has none: its sums would be those of a few.
    """
    name = site.file.retest
    nobody = np.array([], dtype=np.intp), np.full(cohort.features.shape, np.nan)
    if not cohort.feature_names or not (site.folder / name).is_file() or not trains(study, site.name):
        return nobody
    path = site.folder / site.file.columns
    columns = read_columns_file(path, required="columns" in site.file.model_fields_set)
    found = read_features(site, columns, study.predictors, name)
    absent = [column for column in cohort.feature_names if column not in found.names]
    if absent:
        raise HospitalError(
            Code.COLUMN_MISSING,
            f"{site.folder / name}: it lacks {some(absent, 8)}; a second measurement has the same columns as "
            f"{site.file.features}: extract them again, or take the file away",
        )
    order = [found.names.index(column) for column in cohort.feature_names]
    row_of = {patient: row for row, patient in enumerate(found.ids)}
    patients = np.array([i for i, patient in enumerate(cohort.ids) if patient in row_of], dtype=np.intp)
    if len(patients) < FEWEST_PAIRS:
        return nobody
    second = np.full(cohort.features.shape, np.nan)
    second[patients] = found.matrix[[row_of[cohort.ids[i]] for i in patients]][:, order]
    second[:, (~np.isnan(cohort.features + second)).sum(axis=0) < FEWEST_PAIRS] = np.nan
    return patients, second
