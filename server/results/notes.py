"""What a reader must know before believing a result, in sentences."""

from common.dimension import columns_allowed
from common.query import FEWEST_HOSPITALS, SMALLEST_ROW_SET
from common.whole_hospitals import trains
from server.finished import Finished

FEW_FOR_A_SCALE = 30
"""Below this many patients a hospital's scale is estimated too badly to be used; its mean will do."""


def is_transductive(finished: Finished) -> bool:
    """Whether a left-out hospital's own unlabelled patients took part in its harmonisation."""
    chosen = finished.study.harmonisation
    return (
        finished.groundwork.prepared.harmonised is not None and chosen.unseen == "calibrate" and not chosen.levels
    )


def notes_on_harmonisation(finished: Finished) -> list[str]:
    """What a reader must know of how hospitals were made comparable."""
    study, notes = finished.study, list[str]()
    chosen = study.harmonisation
    if finished.groundwork.prepared.harmonised is None:
        return notes
    if is_transductive(finished) and study.validation.leave_one_hospital_out:
        notes.append(
            "Leaving one hospital out is transductive: the left-out hospital's shift and scale were estimated on "
            "one half of its own patients, without their outcomes, to score the other half, and vice versa."
        )
    if not chosen.mean_only and chosen.method == "combat":
        few = [n for n in finished.roster if (finished.present.disclosed[n].patients or 0) < FEW_FOR_A_SCALE]
        if few:
            notes.append(
                f"Harmonisation: {', '.join(few)} has fewer than {FEW_FOR_A_SCALE} patients, too few for a "
                "scale; harmonisation.mean_only: true is recommended"
            )
    return notes


def notes_on_dimension(finished: Finished) -> list[str]:
    """What real hospitals would refuse: a cross-product of more than N/3 − 1 columns."""
    trained = finished.groundwork.prepared.rows[: len(finished.splits)]
    held_out = [trained[0] - n for n, s in zip(trained, finished.splits, strict=True) if s.startswith("kfold/")]
    rows = int(min([trained.min(), *held_out]))
    allowed = columns_allowed(rows)
    looked_at = finished.groundwork.selected.active
    asked = int(looked_at.sum(axis=1).max())
    if asked <= allowed:
        return []
    return [
        f"The model has {asked} columns; with {rows} patients in the smallest set of rows (a fold is one), "
        f"hospitals' gates will allow {allowed} in one cross-product. This simulation used a lower profile: name fewer "
        "in earnest."
    ]


def notes_on_folds(finished: Finished) -> list[str]:
    """What real hospitals would refuse: folds that are too small, or so many that they single out patients."""
    validation = finished.study.validation
    patients = finished.apparent.patients
    if not validation.folds:
        return []
    notes = []
    if patients / validation.folds < SMALLEST_ROW_SET:
        notes.append(
            f"With {patients} patients, {validation.folds} folds hold out {patients // validation.folds} at a time; "
            f"hospitals' gates will ask for {SMALLEST_ROW_SET} in every row set. This simulation used a lower profile."
        )
    if validation.repeats * (validation.folds - 1) + 1 > patients / 3:
        notes.append(
            f"{validation.repeats} repeats of {validation.folds} folds are more row sets than a third of the patients; "
            "totals over so many tell on patients, and gates will refuse them. This simulation used a lower profile."
        )
    return notes


def notes_on_hospitals(finished: Finished) -> list[str]:
    """Fewer hospitals than leaving one out needs among hospitals that do not trust each other."""
    training = [name for name in finished.roster if trains(finished.study, name)]
    if not finished.study.validation.leave_one_hospital_out or len(training) > FEWEST_HOSPITALS:
        return []
    return [
        f"One of {len(training)} hospitals was left out in turn; gates will allow that from "
        f"{FEWEST_HOSPITALS + 1} hospitals on. This simulation used a lower profile."
    ]
