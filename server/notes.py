"""What a reader must know before believing a result, in sentences."""

from common.study import Study
from server.study_run import Finished

FEW_FOR_A_SCALE = 30
"""Below this many patients a hospital's scale is estimated too badly to be used; its mean will do."""


def is_transductive(study: Study) -> bool:
    """Whether a left-out hospital's own unlabelled patients took part in its harmonisation."""
    chosen = study.harmonisation
    return chosen.method != "none" and chosen.unseen == "calibrate" and not chosen.levels


def notes_on_harmonisation(finished: Finished) -> list[str]:
    """What a reader must know of how hospitals were made comparable."""
    study, notes = finished.study, list[str]()
    chosen = study.harmonisation
    if finished.prepared.harmonised is None:
        return notes
    if is_transductive(study) and study.validation.leave_one_hospital_out:
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
    rows = float(finished.prepared.rows.min())
    allowed = int(rows / 3 - 1)
    asked = int(finished.prepared.used.sum(axis=1).max())
    if asked <= allowed:
        return []
    return [
        f"The model has {asked} columns; with {rows:.0f} patients in the smallest training set, hospitals "
        f"allow {allowed} in one cross-product. This simulation used a lower profile: name fewer before going live."
    ]
