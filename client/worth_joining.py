"""Was it worth joining? The federation's predictions of a hospital's own patients against its own model's.

The hospital's own model (client/own_models.py) is fitted to its own patients alone, in the same folds as the federated
k-fold, so that every patient is judged by two models that did not see them (client/paired_figures.py). Of several
classes, those count of which the hospital has enough patients. The answer stays in the hospital's own folder: nothing
of this leaves.
"""

import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from client.own_class_models import own_class_probabilities
from client.own_files import write_text
from client.own_models import own_scores
from client.paired_figures import Difference, Figure, Judged, mean_difference, mean_figure
from client.rows import Rows
from common.query import SMALLEST_CLASS_FOR_OWN_AUC
from common.splits import FINAL, LEAVE_ONE_HOSPITAL_OUT, Label
from common.whole_hospitals import trains

KFOLD = "kfold/0"


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
    events
        Patients with the outcome; of several classes, those with one that is judged.
    classes
        Of several classes, those that are judged.
    """

    figure: Literal["AUC", "C-index", "mean AUC"]
    patients: int
    events: int
    federated: Figure
    alone: Figure
    difference: Difference
    without_you: Figure | None
    columns: int
    penalty: str
    classes: tuple[str, ...] = ()


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
    if study.outcome.kind == "horizon":
        return "models are not compared at a horizon, where patients who were lost before need weights"
    if not trains(study, rows.site.name):
        return "this hospital is sealed: its patients judge the model of the others, and none is trained on"
    levels = _levels(labels)
    if not levels:
        return "the study sets no folds, so there are no predictions of patients whom a model did not see"
    judged = [level for level in levels if enough_of_each(rows.scores(_label(KFOLD, level))[1])]
    if not judged:
        return f"fewer than {SMALLEST_CLASS_FOR_OWN_AUC} patients here have the outcome, or have it not"
    matrix = model_columns(rows)
    folds = [(members.training(split), members.held_out(split)) for split, _ in rows.held_out_of(KFOLD)]
    federated = [rows.scores(_label(KFOLD, level)) for level in judged]
    if study.outcome.kind == "multiclass":
        own = own_class_probabilities(study, matrix, outcome, folds)
        alone = [(own.of(level), had) for level, (_, had) in zip(judged, federated, strict=True)]
        penalty = own.penalty
    else:
        own_one = own_scores(study, matrix, outcome, folds)
        alone, penalty = [(own_one.scores, outcome)], own_one.penalty
    without_you = None
    if _label(LEAVE_ONE_HOSPITAL_OUT, levels[0]) in labels:
        without_you = mean_figure([rows.scores(_label(LEAVE_ONE_HOSPITAL_OUT, level)) for level in judged])
    several = study.outcome.kind == "multiclass"
    return Worth(
        figure="mean AUC" if several else "AUC" if outcome.ndim == 1 else "C-index",
        patients=len(outcome),
        events=_of_classes(federated) if several else int(members.strata.sum()),
        federated=mean_figure(federated),
        alone=mean_figure(alone),
        difference=mean_difference(federated, alone),
        without_you=without_you,
        columns=matrix.shape[1],
        penalty=penalty,
        classes=tuple(judged) if several else (),
    )


def _levels(labels: tuple[str, ...]) -> list[str]:
    """The classes whose k-fold predictions by the first model are there; an empty text where the outcome has two."""
    read = [Label.read(label) for label in labels]
    return [label.level for label in read if label.scheme == KFOLD and not label.model]


def _label(scheme: str, level: str) -> str:
    return str(Label(scheme, level=level))


def _of_classes(judged: list[Judged]) -> int:
    """Patients of one of the classes that are judged."""
    return int(np.any([outcome == 1 for _, outcome in judged], axis=0).sum())


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
        f"{found.patients} patients, {_what(found)}, {found.columns} columns.\n\n"
        f"| model fitted to | {found.figure} for your patients (95 % interval) |\n|---|---|\n{table}\n"
        f"All hospitals together less alone: {d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f}), p = {d.p:.2g}, paired. "
        f"Your own model: {found.penalty}, on standardised columns.\n\n"
        "One number is not the whole answer: a model of one hospital says nothing about other hospitals' patients, "
        f"and the {found.figure} says nothing about calibration.\n"
    )


def _what(found: Worth) -> str:
    if not found.classes:
        return f"{found.events} with the outcome"
    return f"judged for the classes {', '.join(found.classes)}"


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
