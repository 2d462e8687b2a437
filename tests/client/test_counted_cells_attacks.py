"""A coordinator that pushes everybody out of the way but a few, or lies about how many there are; each fails."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from common.errors import Code
from common.query import Answer, Arrays, View
from common.secure_sum.opened import Opened
from common.splits import outer_splits_of
from common.study import Study
from tests.approved import approve_here
from tests.client.counted_together import Neighbour, alike
from tests.client.curious_coordinator import PATIENTS, ask, asking, call_roll, count, hospital, refused
from tests.client.test_app import ROSTER, log_of, scaled

__all__ = ["hospital"]
FOLDS = 3
SPLITS = ("final", *(f"kfold/0/{fold}" for fold in range(FOLDS)))
EDGES = np.array([[0.3, 0.5, 0.7]])
AWAY = -1e4
"""An intercept that leaves nobody above the lowest edge."""


def chosen_study(**changes: Any) -> Study:
    return asking(validation={"folds": FOLDS, "leave_one_hospital_out": False}, **changes)


def models(intercepts: Sequence[float], slope: float = 0.5) -> tuple[View, ...]:
    """A view that ends in a model a split, each with an intercept of its own."""
    chain = scaled(SPLITS)
    beta = np.array([[[intercept, slope, slope]] for intercept in intercepts])
    return (*chain, View("linear", chain[-1].hash, SPLITS, {}, {"beta": beta}))


PLAIN = models([0.0] * len(SPLITS))
ONE_FOLD = models([0.0, 0.0, AWAY, AWAY])
"""The scores of all folds but the first are out of the way: bins of `kfold/0` hold that fold's patients alone."""


def judged(views: tuple[View, ...], label: str = "kfold/0", edges: np.ndarray = EDGES) -> dict[str, Any]:
    asked = {"splits": (), "rows": "held_out", "parameters": {"schemes": [label]}, "arrays": {"edges": edges}}
    return asked | {"views": views, "view": views[-1].hash}


def counted(
    hospital: Whereabouts,
    chosen: Study,
    asked: dict[str, Any],
    name: str = "score_counts",
    neighbour: Neighbour = alike,
) -> Opened:
    return Opened.from_bytes(count(hospital, chosen, name, neighbour=neighbour, **asked))


def discriminated(hospital: Whereabouts, chosen: Study, asked: dict[str, Any], *opened: Opened) -> Answer:
    return ask(hospital, chosen, "discrimination", counts=[one.to_bytes() for one in opened], **asked)


def elsewhere(own: Arrays) -> Arrays:
    """Neighbours whose patients are all in the lowest bin, as a coordinator can see to."""
    patients = own["classes"].sum()
    return {"below": np.full_like(own["below"], patients), "classes": own["classes"]}


def evenly(own: Arrays) -> Arrays:
    """Neighbours who have as many patients in every bin."""
    patients = own["classes"].sum(axis=-1) if "classes" in own else own["patients"][:, None]
    edges = own["below"].shape[-1]
    return own | {"below": np.round(patients[..., None] * np.arange(1, edges + 1) / (edges + 1))}


def test_bins_of_one_folds_patients_hold_too_few(hospital: Whereabouts) -> None:
    """The scores and outcomes of single patients were read so: 32 bins round the 33 patients of a fold."""
    chosen = chosen_study()
    call_roll(hospital, chosen)
    edges = np.linspace(0.2, 0.8, 9)[None]  # ten bins for the twenty patients of a fold
    asked = judged(ONE_FOLD, edges=edges)
    opened = counted(hospital, chosen, asked, neighbour=elsewhere)
    refused(
        hospital, discriminated(hospital, chosen, asked, opened), Code.CLOSE_EDGES, "patients of all hospitals"
    )


def test_bins_of_enough_patients_are_answered(hospital: Whereabouts) -> None:
    chosen = chosen_study()
    call_roll(hospital, chosen)
    asked = judged(PLAIN)
    answer = discriminated(hospital, chosen, asked, counted(hospital, chosen, asked))
    assert answer.sums["histogram"].sum() == PATIENTS


def test_bins_whose_counts_were_not_handed_round_are_refused(hospital: Whereabouts) -> None:
    chosen = chosen_study()
    call_roll(hospital, chosen)
    asked = judged(PLAIN)
    counted(hospital, chosen, asked)
    refused(hospital, discriminated(hospital, chosen, asked), Code.NUMBERS_NOT_SIGNED, "did not hand round")


@pytest.mark.parametrize("whose", range(len(ROSTER)))
def test_counts_that_were_altered_are_not_believed(hospital: Whereabouts, whose: int) -> None:
    """A hundred patients more in every bin, in whosever name."""
    chosen = chosen_study()
    call_roll(hospital, chosen)
    asked = judged(ONE_FOLD)
    opened = counted(hospital, chosen, asked)
    masked = list(opened.masked)
    altered = bytearray(masked[whose])
    altered[len(altered) // 2] ^= 1
    masked[whose] = bytes(altered)
    answer = discriminated(hospital, chosen, asked, replace(opened, masked=tuple(masked)))
    refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "do not carry its signature")


def test_a_seed_that_was_changed_leaves_noise(hospital: Whereabouts) -> None:
    chosen = chosen_study()
    call_roll(hospital, chosen)
    asked = judged(ONE_FOLD)
    opened = counted(hospital, chosen, asked)
    first, *others = opened.seeds
    changed = bytes([first[0] ^ 1]) + first[1:]
    answer = discriminated(hospital, chosen, asked, replace(opened, seeds=(changed, *others)))
    refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "the masks do not cancel")


def test_one_hospitals_answer_does_not_stand_for_anothers(hospital: Whereabouts) -> None:
    """The fullest answer four times over would be a fuller total."""
    chosen = chosen_study()
    call_roll(hospital, chosen)
    asked = judged(ONE_FOLD)
    opened = counted(hospital, chosen, asked)
    twice = replace(opened, masked=(opened.masked[0], *opened.masked[:1], *opened.masked[2:]))
    answer = discriminated(hospital, chosen, asked, twice)
    refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "do not carry its signature")
    fewer = replace(opened, masked=opened.masked[1:], seeds=opened.seeds[1:])
    answer = discriminated(hospital, chosen, asked, fewer)
    refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "3 answers and 3 seeds of 4 hospitals")


def test_counts_of_another_view_say_nothing_of_this_one(hospital: Whereabouts) -> None:
    """Everybody is counted by an honest model, and judged by one that pushes most of them away."""
    chosen = chosen_study()
    call_roll(hospital, chosen)
    honest = counted(hospital, chosen, judged(PLAIN))
    answer = discriminated(hospital, chosen, judged(ONE_FOLD), honest)
    refused(hospital, answer, Code.SECOND_VIEW, "linear")


def test_counts_of_another_label_say_nothing_of_this_one(hospital: Whereabouts) -> None:
    chosen = chosen_study()
    call_roll(hospital, chosen)
    views = models([0.0, 0.0, AWAY, AWAY])
    apparent = counted(hospital, chosen, judged(views, "apparent"))
    assert ask(hospital, chosen, "score_counts", **judged(views)).sums
    answer = discriminated(hospital, chosen, judged(views), apparent)
    refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "a bin of kfold/0")


def test_counts_of_a_question_that_was_never_asked_here_are_not_kept(hospital: Whereabouts) -> None:
    chosen = chosen_study()
    call_roll(hospital, chosen)
    asked = judged(PLAIN)
    opened = counted(hospital, chosen, asked)
    answer = discriminated(hospital, chosen, asked, replace(opened, question="f" * 64))
    refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "was never asked")


def test_counts_of_another_roster_are_not_added_up(hospital: Whereabouts) -> None:
    """More hospitals fill the bins; then some are sent home, and their patients are still counted."""
    (hospital.folder / "site.yaml").write_text("policy: {unmasked_sums: true, single_hospital_sums: true}\n")
    chosen = chosen_study()
    call_roll(hospital, chosen)
    asked = judged(PLAIN)
    opened = counted(hospital, chosen, asked)
    fewer = {"roster": ("east", "north", "south")}
    assert ask(hospital, chosen, "score_counts", **asked, **fewer).sums, log_of(hospital)
    for replayed in (opened, replace(opened, masked=opened.masked[:3], seeds=opened.seeds[:3])):
        answer = ask(hospital, chosen, "discrimination", counts=[replayed.to_bytes()], **asked, **fewer)
        refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "not what they signed")


def test_counts_of_another_study_are_not_added_up(hospital: Whereabouts) -> None:
    """The same hospitals and the same question's words; the signatures name the study."""
    chosen, other = chosen_study(), chosen_study(study="another")
    for study in (chosen, other):
        call_roll(hospital, study)
    approve_here(hospital, chosen, ROSTER)
    asked = judged(PLAIN)
    mine, theirs = (counted(hospital, study, asked) for study in (chosen, other))
    answer = discriminated(hospital, chosen, asked, replace(theirs, question=mine.question))
    refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "for another study, run, roster")


def test_edges_of_two_questions_make_no_small_bin_together(hospital: Whereabouts) -> None:
    """Each bin holds enough; the difference of two questions would be over one to four patients."""
    chosen = asking(validation={"folds": FOLDS, "leave_one_hospital_out": False, "bootstrap": 200})
    call_roll(hospital, chosen)

    def close(own: Arrays) -> Arrays:
        return {"below": own["below"][:, [0, 0]], "classes": own["classes"]}

    table = pd.read_csv(hospital.folder / "patients.csv")
    line = 0.05 * (table["age"] - 60) + 0.5 / 9 * (table["size"] - 40)
    risk = np.sort(1 / (1 + np.exp(-line.to_numpy())))
    low, high = (risk[29] + risk[30]) / 2, (risk[31] + risk[32]) / 2
    counts = [counted(hospital, chosen, judged(PLAIN, edges=np.array([[low, high]])), neighbour=close)]
    assert discriminated(hospital, chosen, judged(PLAIN, edges=np.array([[low]])), *counts).sums
    answer = ask(
        hospital,
        chosen,
        "bootstrap",
        views=PLAIN,
        view=PLAIN[-1].hash,
        splits=(),
        rows="held_out",
        parameters={"schemes": ["kfold/0"], "groups": [0], "replicates": 200},
        arrays={
            "edges": np.array([[high]]),
            "classes": np.full((1, 2, 2), 80.0),
            "within": np.array([[0.6, 4000.0]]),
        },
    )
    refused(hospital, answer, Code.CLOSE_EDGES, "a bin of kfold/0 holds 2 patients of all hospitals")


def by_outcome(hospital: Whereabouts, chosen: Study, asked: dict[str, Any], *opened: Opened) -> Answer:
    """The classes of training rows, in bins of the same edges for every split."""
    edges = np.repeat(asked["arrays"]["edges"][:, None], len(SPLITS), axis=1)
    packed = [one.to_bytes() for one in opened]
    return ask(hospital, chosen, "training_classes", counts=packed, **(asked | {"arrays": {"edges": edges}}))


def test_training_rows_of_a_split_are_counted_by_its_own_model(hospital: Whereabouts) -> None:
    """Bins that hold enough by the final model are narrow ones by another split's."""
    chosen = chosen_study()
    call_roll(hospital, chosen)
    views = models([0.0, -2.5, 0.0, 0.0])
    model = counted(hospital, chosen, judged(views, "apparent"))
    asked: dict[str, Any] = judged(views, "apparent") | {"splits": SPLITS, "rows": "training"}

    def nobody(own: Arrays) -> Arrays:
        return own | {"below": np.repeat(own["patients"][:, None, None], EDGES.shape[1], axis=2)}

    rows = counted(hospital, chosen, asked, "training_counts", nobody)
    answer = by_outcome(hospital, chosen, asked, model, rows)
    refused(hospital, answer, Code.CLOSE_EDGES, "a bin of the training rows of kfold/0/0 by apparent holds")


def test_a_group_of_few_patients_is_refused(hospital: Whereabouts) -> None:
    """Two patients of all hospitals above the thresholds of their folds: their outcomes would be told."""
    chosen = chosen_study()
    call_roll(hospital, chosen)
    edges = np.array([[0.3, 0.5, 0.8]])
    model = counted(hospital, chosen, judged(PLAIN, "apparent", edges), neighbour=evenly)
    training = judged(PLAIN, "apparent", edges) | {"splits": SPLITS, "rows": "training"}
    counts = [model, counted(hospital, chosen, training, "training_counts", evenly)]
    assert by_outcome(hospital, chosen, training, *counts).sums, log_of(hospital)
    splits = outer_splits_of(chosen, ROSTER)
    cuts = np.full((1, len(splits)), 0.8)
    cut = judged(PLAIN) | {"arrays": {"cuts": cuts}}
    refused(
        hospital,
        ask(hospital, chosen, "threshold_classes", **cut),
        Code.NUMBERS_NOT_SIGNED,
        "the groups of kfold/0",
    )
    grouped = cut | {
        "parameters": {"schemes": ["kfold/0"], "fits": list(splits)},
        "arrays": {"cuts": cuts[:, :, None]},
    }

    def below_it(own: Arrays) -> Arrays:
        return {"patients": np.array([[own["patients"].sum(), 0.0]])}

    groups = counted(hospital, chosen, grouped, "group_counts", below_it)
    answer = ask(hospital, chosen, "threshold_classes", counts=[groups.to_bytes()], **cut)
    refused(hospital, answer, Code.CLOSE_EDGES, "a group of kfold/0 holds 2 patients")
    other = cut | {"arrays": {"cuts": np.full_like(cuts, 0.5)}}
    answer = ask(hospital, chosen, "threshold_classes", **other)
    refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "by these cut-offs")
