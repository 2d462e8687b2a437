"""What stays of survival: each patient's score, risk group and risks at the horizons, in the hospital's own folder."""

from collections.abc import Iterator

import numpy as np

from client.own_files import write_csv
from client.queries.registry import Schemes, query
from client.queries.survival_risk import Baselines, by_own_fold, risks
from client.rows import Rows
from common.query import Answer
from common.splits import Label

GROUPS = {2: ("low", "high"), 3: ("low", "middle", "high")}


class OwnSurvival(Baselines):
    """The labels whose predictions are written."""

    schemes: Schemes


@query("own_survival", OwnSurvival, leaves="Nothing: survival.csv is written into the hospital's own folder.")
def own_survival(rows: Rows, asked: OwnSurvival) -> Answer:
    """Write survival.csv."""
    rows.site.own_folder.mkdir(parents=True, exist_ok=True)
    at = [f"risk_at_{month}_months" for month in asked.horizons]
    header = ["id", "scheme", "repeat", "model", "score", "group", *at]
    write_csv(rows.site.own_folder / "survival.csv", header, _lines(rows, asked))
    return Answer()


def _lines(rows: Rows, asked: OwnSurvival) -> Iterator[list[object]]:
    """One line a patient and label, by the model that did not see the patient."""
    ids = np.array(rows.cohort.ids, dtype=object)
    names = GROUPS.get(asked.cuts.shape[2] + 1, ())
    for text in asked.schemes:
        label = Label.read(text)
        name, _, repeat = label.scheme.partition("/")
        scored, group, hazard = by_own_fold(rows, asked, text)
        score, _ = rows.scores(text)
        found = risks(hazard[scored], score)
        for patient, value, k, risk in zip(ids[scored], score, group[scored], found, strict=True):
            said = names[k] if names else str(k)
            yield [
                patient,
                name,
                repeat or "0",
                label.model,
                repr(float(value)),
                said,
                *(repr(float(r)) for r in risk),
            ]
