"""What stays of survival: each patient's score, risk group and risks at the horizons, in the hospital's own folder.

The risks also recalibrated to the hospital's own patients (client/own_risks.py).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from client.own_copies import noted_as_copies_of
from client.own_files import write_csv, write_text
from client.own_risks import OwnRisks, own_risks
from client.queries.registry import Schemes, query
from client.queries.survival_risk import Baselines, by_own_fold, risks
from client.rows import Rows
from common.query import Answer
from common.splits import Label

GROUPS = {2: ("low", "high"), 3: ("low", "middle", "high")}


class OwnSurvival(Baselines):
    """The labels whose predictions are written."""

    schemes: Schemes


@query(
    "own_survival",
    OwnSurvival,
    leaves="Nothing: survival.csv and survival_recalibration.json are written into the hospital's own folder.",
)
def own_survival(rows: Rows, asked: OwnSurvival) -> Answer:
    """Write survival.csv and survival_recalibration.json."""
    folder = rows.site.own_folder
    folder.mkdir(parents=True, exist_ok=True)
    own = {label: _own_risks(rows, asked, label) for label in asked.schemes}
    at = [f"{kind}_at_{month}_months" for kind in ("risk", "recalibrated") for month in asked.horizons]
    header = ["id", "scheme", "repeat", "model", "score", "group", *at]
    content = {label: asdict(found) for label, found in own.items() if found is not None}
    with noted_as_copies_of(folder, rows.study):
        write_csv(folder / "survival.csv", header, _lines(rows, asked, own))
        write_text(
            folder / "survival_recalibration.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        )
    return Answer()


def _own_risks(rows: Rows, asked: OwnSurvival, label: str) -> OwnRisks | None:
    """None where the label judges nobody of this hospital."""
    scored, _, hazard = by_own_fold(rows, asked, label)
    score, outcome = rows.scores(label)
    return own_risks(score, outcome, hazard[scored], asked.horizons) if len(score) else None


def _lines(rows: Rows, asked: OwnSurvival, own: dict[str, OwnRisks | None]) -> Iterator[list[object]]:
    """One line a patient and label, by the model that did not see the patient."""
    ids = np.array(rows.cohort.ids, dtype=object)
    names = GROUPS.get(asked.cuts.shape[2] + 1, ())
    for text in asked.schemes:
        label = Label.read(text)
        name, _, repeat = label.scheme.partition("/")
        scored, group, hazard = by_own_fold(rows, asked, text)
        score, _ = rows.scores(text)
        found, to_own = risks(hazard[scored], score), _recalibrated(own[text], hazard[scored], score, asked)
        for patient, value, k, risk, more in zip(ids[scored], score, group[scored], found, to_own, strict=True):
            said = names[k] if names else str(k)
            yield [
                patient,
                name,
                repeat or "0",
                label.model,
                repr(float(value)),
                said,
                *(repr(float(r)) for r in risk),
                *more,
            ]


def _recalibrated(
    own: OwnRisks | None, hazard: np.ndarray, score: np.ndarray, asked: OwnSurvival
) -> list[list[str]]:
    """Patients × horizons, as they are written; empty where the hospital has too few patients."""
    columns = []
    for k, month in enumerate(asked.horizons):
        at = own.horizons.get(str(month)) if own is not None else None
        risk = None if at is None else at.risk(hazard[:, k], score)
        columns.append([""] * len(score) if risk is None else [repr(float(r)) for r in risk])
    return [list(line) for line in zip(*columns, strict=True)]
