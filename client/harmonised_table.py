"""A hospital's own patients after harmonisation, as a table that it keeps."""

from collections.abc import Iterable

import numpy as np

from client.cohort.cohort import Cohort
from client.harmonise import transform_of
from client.view import Views
from common.splits import FINAL


def harmonised_features(cohort: Cohort, views: Views, view_hash: str) -> list[str]:
    """The cohort's features that the study went on with, in the cohort's order."""
    design = views.chain(view_hash)[-1].parameters["columns"]
    return [name for name in cohort.feature_names if name in design]


def harmonised_lines(cohort: Cohort, views: Views, view_hash: str) -> Iterable[list[object]]:
    """One line a patient: the features by the final model, on the scale they came in; gaps stay gaps.

    Parameters
    ----------
    view_hash
        The view of the harmonised columns; a shared transform before it is undone.
    """
    chain = views.chain(view_hash)
    design = [str(name) for name in chain[-1].parameters["columns"]]
    values = views.matrix(view_hash, FINAL).copy()
    for view in chain:
        if view.step == "transform":
            columns = [int(number) for number in view.parameters["features"]]
            values[:, columns] = transform_of(views.fitted(view, FINAL)).inverse(values[:, columns])
    names = harmonised_features(cohort, views, view_hash)
    features = values[:, [design.index(name) for name in names]]
    features[np.isnan(cohort.features[:, [cohort.feature_names.index(name) for name in names]])] = np.nan
    for patient, line in zip(cohort.ids, features.tolist(), strict=True):
        yield [patient, *("" if value != value else repr(value) for value in line)]
