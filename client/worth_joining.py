"""Was it worth joining? The federation's predictions of a hospital's own patients against its own model's.

The hospital's own model (client/own_models.py) is fitted to its own patients alone, in the same folds as the federated
k-fold, so that every patient is judged by two models that did not see them. AUCs are compared by the paired test of
DeLong (1988, doi:10.2307/2531595), C-indices by patients' own shares of won pairs. The answer stays in the hospital's
own folder: nothing of this leaves.
"""

import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from scipy.stats import norm, rankdata

from client.concordance import concordance
from client.own_files import write_text
from client.own_models import own_scores
from client.rows import Rows
from common.query import SMALLEST_CLASS_FOR_OWN_AUC
from common.splits import FINAL, LEAVE_ONE_HOSPITAL_OUT
from common.whole_hospitals import trains

KFOLD = "kfold/0"
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Figure:
    """An AUC or C-index with its 95 % interval."""

    value: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True)
class Difference:
    """The federation's figure less the own model's, on the same patients."""

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Worth:
    """What a hospital learns about itself.

    Parameters
    ----------
    federated, without_you
        Models of all hospitals in which these patients' folds, or this whole hospital, took no part; the second is
        None where the study leaves no hospital out.
    alone
        The hospital's own models.
    """

    figure: Literal["AUC", "C-index"]
    patients: int
    events: int
    federated: Figure
    alone: Figure
    difference: Difference
    without_you: Figure | None
    columns: int
    penalty: str


def write_worth_joining(rows: Rows, labels: tuple[str, ...]) -> None:
    """Write worth_joining.json and worth_joining.md into the hospital's own folder."""
    folder = rows.site.own_folder
    found = worth_joining(rows, labels)
    content = {"answer": None, "why": found} if isinstance(found, str) else {"answer": asdict(found), "why": None}
    write_text(folder / "worth_joining.json", json.dumps(content, indent=1) + "\n")
    write_text(folder / "worth_joining.md", in_words(found, rows.site.name))


def worth_joining(rows: Rows, labels: tuple[str, ...]) -> Worth | str:
    """The comparison for this hospital, or why there is none."""
    study, members, outcome = rows.study, rows.members, rows.cohort.outcome
    if study.outcome.kind == "multiclass":
        return "models are compared where the outcome is one of two, or a time"
    if study.outcome.kind == "horizon":
        return "models are not compared at a horizon, where patients who were lost before need weights"
    if not trains(study, rows.site.name):
        return "this hospital is sealed: its patients judge the model of the others, and none is trained on"
    if KFOLD not in labels:
        return "the study sets no folds, so there are no predictions of patients whom a model did not see"
    if not enough_of_each(outcome):
        return f"fewer than {SMALLEST_CLASS_FOR_OWN_AUC} patients here have the outcome, or have it not"
    matrix = model_columns(rows)
    folds = [(members.training(split), members.held_out(split)) for split, _ in rows.held_out_of(KFOLD)]
    federated = rows.scores(KFOLD)[0]
    alone = own_scores(study, matrix, outcome, folds)
    without_you = None
    if LEAVE_ONE_HOSPITAL_OUT in labels:
        without_you = figure_of(rows.scores(LEAVE_ONE_HOSPITAL_OUT)[0], outcome)
    return Worth(
        figure="AUC" if outcome.ndim == 1 else "C-index",
        patients=len(outcome),
        events=int(members.strata.sum()),
        federated=figure_of(federated, outcome),
        alone=figure_of(alone.scores, outcome),
        difference=paired_difference(federated, alone.scores, outcome),
        without_you=without_you,
        columns=matrix.shape[1],
        penalty=alone.penalty,
    )


def enough_of_each(outcome: np.ndarray) -> bool:
    """Whether there are ten patients with and ten without the outcome, or an event."""
    had = outcome if outcome.ndim == 1 else outcome[:, 1]
    return min(float(had.sum()), float((1 - had).sum())) >= SMALLEST_CLASS_FOR_OWN_AUC


def model_columns(rows: Rows) -> np.ndarray:
    """The columns of the study's design as this hospital has them: not imputed, harmonised or scaled."""
    root = rows.views.chain(str(rows.query.view))[-1]
    matrix = rows.views.matrix(root.hash, FINAL)
    names = [str(name) for name in root.parameters["columns"]]
    predictors = {*rows.study.predictors.clinical, *rows.cohort.feature_names}
    chosen = [j for j, name in enumerate(names) if name.partition("=")[0].partition(":")[0] in predictors]
    return matrix[:, chosen]


def figure_of(score: np.ndarray, outcome: np.ndarray) -> Figure:
    """The AUC with DeLong's error, or Harrell's C."""
    value, parts = _parts(score, outcome)
    error = _error(parts)
    return Figure(value, max(0.0, value - NORMAL_95 * error), min(1.0, value + NORMAL_95 * error), error)


def paired_difference(first: np.ndarray, second: np.ndarray, outcome: np.ndarray) -> Difference:
    """The first score's figure less the second's on the same patients, with a normal interval and two-sided p."""
    (one, parts), (other, others) = _parts(first, outcome), _parts(second, outcome)
    value = one - other
    error = _error([a - b for a, b in zip(parts, others, strict=True)])
    p = 2 * float(norm.sf(abs(value) / error)) if error > 0 else 1.0
    return Difference(value, value - NORMAL_95 * error, value + NORMAL_95 * error, p)


def _parts(score: np.ndarray, outcome: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """A figure, and each patient's part in it about its mean, a class each: what its variance is made of."""
    if outcome.ndim == 1:
        positive, negative = score[outcome == 1], score[outcome == 0]
        together = rankdata(np.concatenate([positive, negative]))
        m, n = len(positive), len(negative)
        below = (together[:m] - rankdata(positive)) / n
        above = 1.0 - (together[m:] - rankdata(negative)) / m
        value = float(below.mean())
        return value, [_about(value, part) for part in (below, above)]
    nowhere = np.zeros(len(score), dtype=np.int64)
    found = concordance(outcome[:, 0], outcome[:, 1], score, np.ones(len(score)), nowhere, nowhere)
    return found.value, [(found.own_won - found.value * found.own_pairs) / found.pairs]


def _about(value: float, part: np.ndarray) -> np.ndarray:
    """Placements about their mean, scaled to their mean's error; of a class of one patient as far as can be."""
    if len(part) == 1:
        return np.array([0.5])
    scaled: np.ndarray = (part - value) / np.sqrt(len(part) * (len(part) - 1))
    return scaled


def _error(parts: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(float(part @ part) for part in parts)))


def in_words(found: Worth | str, hospital: str) -> str:
    """What the figures mean, for the hospital's own people."""
    head = f"# Was it worth joining?\n\nFor {hospital} alone; nothing of this has left the hospital.\n\n"
    if isinstance(found, str):
        return f"{head}There is no answer: {found}.\n"
    rows = [
        ("all hospitals together (your patients of the fold held out)", found.federated),
        ("your patients alone (the same folds)", found.alone),
    ]
    if found.without_you is not None:
        rows.append(("the other hospitals without yours", found.without_you))
    table = "".join(f"| {what} | {f.value:.3f} ({f.low:.3f} to {f.high:.3f}) |\n" for what, f in rows)
    d = found.difference
    return (
        f"{head}{_verdict(d)}\n\n"
        f"{found.patients} patients, {found.events} with the outcome, {found.columns} columns.\n\n"
        f"| model fitted to | {found.figure} for your patients (95 % interval) |\n|---|---|\n{table}\n"
        f"All hospitals together less alone: {d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f}), p = {d.p:.2g}, paired. "
        f"Your own model: {found.penalty}, on standardised columns.\n\n"
        "One number is not the whole answer: a model of one hospital says nothing about other hospitals' patients, "
        f"and the {found.figure} says nothing about calibration.\n"
    )


def _verdict(difference: Difference) -> str:
    if difference.low > 0:
        return (
            "**Yes:** for your own patients the model of all hospitals ranks better than one from your data alone."
        )
    if difference.high < 0:
        return (
            "**Not for your own patients:** a model from your data alone ranks them better. Your patients or "
            "measurements may differ from the others'; ask the study's statistician."
        )
    return (
        "**Not to be told:** for your own patients the model of all hospitals and one from your data alone rank alike "
        "within the error that your number of patients leaves."
    )
