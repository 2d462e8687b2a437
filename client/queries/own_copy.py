"""What stays: the hospital writes its own patients' results into its own folder, and nothing leaves."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.special import expit

from client.harmonise import transform_of
from client.queries.registry import Parameters, query
from client.rows import Rows
from common.query import LEAVE_OUT, Answer
from common.splits import FINAL


class OwnCopy(Parameters):
    """The schemes whose predictions are written, and the view of the harmonised features if there is one."""

    schemes: tuple[str, ...]
    harmonised: str | None = None


@query(
    "own_copy",
    OwnCopy,
    leaves="Nothing: predictions.csv and harmonised.csv are written into the hospital's own folder.",
)
def own_copy(rows: Rows, parameters: OwnCopy) -> Answer:
    """Write predictions.csv and, where features were harmonised, harmonised.csv."""
    rows.site.own_folder.mkdir(parents=True, exist_ok=True)
    header = ["id", "scheme", "fold", "score", "repeat"]
    _write(rows.site.own_folder / "predictions.csv", header, _predictions(rows, parameters.schemes))
    if parameters.harmonised is not None:
        header = ["id", *rows.cohort.feature_names]
        _write(rows.site.own_folder / "harmonised.csv", header, _harmonised(rows, parameters.harmonised))
    return Answer()


def _predictions(rows: Rows, schemes: Iterable[str]) -> Iterable[list[object]]:
    """One line a patient and scheme: the probability by the model that did not see the patient."""
    ids = np.array(rows.cohort.ids, dtype=object)
    for scheme in schemes:
        name, _, repeat = scheme.partition("/")
        for split, chosen in rows.held_out_of(scheme):
            fold = split.removeprefix(LEAVE_OUT).rpartition("/")[2]
            scores = expit(rows.linear_predictor(split)[chosen])
            for patient, score in zip(ids[chosen], scores, strict=True):
                yield [patient, name, fold, repr(float(score)), repeat or "0"]


def _harmonised(rows: Rows, view_hash: str) -> Iterable[list[object]]:
    """One line a patient: the features by the final model, on the scale they came in; gaps stay gaps."""
    cohort = rows.cohort
    chain = rows.views.chain(view_hash)
    design = [str(name) for name in chain[-1].parameters["columns"]]
    values = rows.views.matrix(view_hash, FINAL).copy()
    for view in chain:
        if view.step == "transform":
            columns = [int(number) for number in view.parameters["features"]]
            values[:, columns] = transform_of(rows.views.fitted(view, FINAL)).inverse(values[:, columns])
    features = values[:, [design.index(name) for name in cohort.feature_names]]
    features[np.isnan(cohort.features)] = np.nan
    for patient, line in zip(cohort.ids, features.tolist(), strict=True):
        yield [patient, *("" if value != value else repr(value) for value in line)]


def _write(path: Path, header: list[str], lines: Iterable[list[object]]) -> None:
    """A csv file that is there whole or not at all, readable by its owner."""
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(lines)
    partial.chmod(0o600)
    partial.replace(path)
