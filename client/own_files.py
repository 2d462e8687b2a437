"""Files that a hospital keeps for itself: whole or not at all, readable by their owner alone."""

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

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


def write_csv(path: Path, header: list[str], lines: Iterable[list[object]]) -> None:
    """A csv file that is there whole or not at all, and that nobody else can read at any moment."""
    with _whole(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(lines)


def write_text(path: Path, text: str) -> None:
    """A text file, as `write_csv` writes one."""
    with _whole(path) as file:
        file.write(text)


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(opened, "w", newline="", encoding="utf-8") as file:
        yield file
    partial.replace(path)
