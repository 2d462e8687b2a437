"""What stays: the hospital writes its own patients' predictions into its own folder, and nothing leaves."""

import csv

from scipy.special import expit

from client.queries.registry import Parameters, query
from client.rows import Rows
from common.query import LEAVE_OUT, Answer


class OwnCopy(Parameters):
    """The schemes whose predictions are written."""

    schemes: tuple[str, ...]


@query("own_copy", OwnCopy, leaves="Nothing: predictions.csv is written into the hospital's own folder.")
def own_copy(rows: Rows, parameters: OwnCopy) -> Answer:
    """Write predictions.csv: id, scheme, fold, score (probability), repeat."""
    path = rows.site.own_folder / "predictions.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", "scheme", "fold", "score", "repeat"])
        for scheme in parameters.schemes:
            name, _, repeat = scheme.partition("/")
            for split, chosen in rows.held_out_of(scheme):
                fold = split.removeprefix(LEAVE_OUT).rpartition("/")[2]
                scores = expit(rows.linear_predictor(split)[chosen])
                for patient, score in zip(
                    (p for p, c in zip(rows.cohort.ids, chosen, strict=True) if c), scores, strict=True
                ):
                    table.writerow([patient, name, fold, repr(float(score)), repeat or "0"])
    partial.replace(path)
    path.chmod(0o600)
    return Answer()
