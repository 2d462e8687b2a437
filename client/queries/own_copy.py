"""What stays: the hospital writes its own patients' results into its own folder, and nothing leaves."""

from collections.abc import Iterable

import numpy as np
from scipy.special import expit

from client.own_files import harmonised_lines, write_csv
from client.queries.registry import Parameters, query
from client.rows import Rows
from common.query import LEAVE_OUT, Answer


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
    write_csv(rows.site.own_folder / "predictions.csv", header, _predictions(rows, parameters.schemes))
    if parameters.harmonised is not None:
        header = ["id", *rows.cohort.feature_names]
        lines = harmonised_lines(rows.cohort, rows.views, parameters.harmonised)
        write_csv(rows.site.own_folder / "harmonised.csv", header, lines)
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
