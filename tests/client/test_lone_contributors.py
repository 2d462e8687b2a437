"""A total to which one or two hospitals can contribute is refused, by what every hospital signed at the roll call."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from client.app import Whereabouts
from client.gate_rules.lone_contributors import check_lone_contributors
from client.queries.membership import Membership
from client.queries.stability import Summed
from common.errors import Code, HospitalError
from common.query import Query, View
from common.room import Room
from common.study import Study
from tests.approved import seat
from tests.client.curious_coordinator import PATIENTS, F, ask, asking, call_roll, hospital, refused
from tests.client.test_app import ROSTER

__all__ = ["hospital"]
FEATURES = ["f0", "f1"]
RAW = View("columns", parameters={"columns": FEATURES})
IMPUTED = View("impute", RAW.hash, F, {}, {"fill": np.zeros((1, 2))})


@pytest.fixture
def chosen() -> Study:
    return asking(
        predictors={"clinical": [], "radiomics": FEATURES},
        validation={"folds": 2, "leave_one_hospital_out": False},
        harmonisation={"method": "combat", "batch": "hospital"},
    )


def measured(hospital: Whereabouts, again: int) -> None:
    """Features of everybody, and a second measurement of some."""
    table = pd.DataFrame(np.random.default_rng(1).normal(5, 1, (PATIENTS, 2)), columns=FEATURES)
    table.insert(0, "id", [f"SECRET-{i}" for i in range(PATIENTS)])
    table.to_csv(hospital.folder / "features.csv", index=False)
    table.head(again).to_csv(hospital.folder / "features_retest.csv", index=False)


def handed_round(
    hospital: Whereabouts, chosen: Study, others: tuple[int, ...] = (80, 80, 80), **said: Any
) -> Room:
    """Seats of which the hospital and its first neighbours say something, as many as `said` gives."""
    rest = iter(others)
    seats = []
    having = said.pop("having", 0)
    for name in sorted(ROSTER, key=lambda name: name != hospital.folder.name):
        patients = PATIENTS if name == hospital.folder.name else next(rest)
        word = said if len(seats) < having else {}
        seats.append(seat(hospital, chosen, name, patients, events=patients // 2, **word))
    return Room(tuple(sorted(seats, key=lambda seat: seat.hospital)))


def pairs(hospital: Whereabouts, chosen: Study, having: int) -> Any:
    room = handed_round(hospital, chosen, contributes=("retest",), having=having)
    return ask(
        hospital,
        chosen,
        "retest",
        (RAW, IMPUTED),
        room=room.to_json(),
        view=IMPUTED.hash,
        arrays={"offset": np.zeros(2)},
        parameters={"after": IMPUTED.hash, "features": [0, 1]},
    )


@pytest.mark.parametrize(("again", "said"), [(9, ()), (10, ("retest",))])
def test_what_a_hospital_can_contribute_is_under_its_signature(
    hospital: Whereabouts, chosen: Study, again: int, said: tuple[str, ...]
) -> None:
    measured(hospital, again)
    assert call_roll(hospital, chosen).disclosed.contributes == said
    one = seat(hospital, chosen, "north", PATIENTS, contributes=("retest",))
    assert one.statement(chosen.hash) != one.model_copy(update={"contributes": ()}).statement(chosen.hash)


def test_a_total_of_two_hospitals_is_refused_by_all(hospital: Whereabouts, chosen: Study) -> None:
    measured(hospital, 12)
    call_roll(hospital, chosen)
    why = "2 hospitals can add to the total of retest, 3 are needed"
    refused(hospital, pairs(hospital, chosen, having=2), Code.SINGLE_HOSPITAL, why)


def test_a_total_of_three_is_answered(hospital: Whereabouts, chosen: Study) -> None:
    measured(hospital, 12)
    call_roll(hospital, chosen)
    assert (pairs(hospital, chosen, having=3).sums["before_n"] == 12).all()


@pytest.mark.parametrize(
    ("name", "asked", "word", "what"),
    [
        ("attention", None, "images", "images"),
        ("attribution", None, "images", "images"),
        ("stability_sums", Summed(perturbations=(1,)), "perturbations", "perturbations"),
        ("stability_sums", Summed(perturbations=(1,), readers=(0,)), "perturbations", "readers"),
    ],
)
def test_so_are_images_and_every_kind_of_repetition(
    hospital: Whereabouts, chosen: Study, name: str, asked: Any, word: str, what: str
) -> None:
    rows: Any = _Asked(chosen, name)
    having = 3 if word != what else 2
    check_lone_contributors(_Asked(chosen, "moments"), asked, handed_round(hospital, chosen))  # type: ignore[arg-type]
    with pytest.raises(HospitalError, match=f"hospitals can add to the total of {what}, 3 are needed"):
        check_lone_contributors(rows, asked, handed_round(hospital, chosen, contributes=(word,), having=having))


def test_accusations_need_three_hospitals_of_fifty_patients(hospital: Whereabouts, chosen: Study) -> None:
    """The hospital itself has sixty."""
    rows: Any = _Asked(chosen, "membership")
    few = handed_round(hospital, chosen, (49, 50, 49))
    check_lone_contributors(rows, Membership(allowed=()), few)
    check_lone_contributors(rows, Membership(allowed=(0.1,)), handed_round(hospital, chosen, (49, 50, 50)))
    with pytest.raises(HospitalError, match=r"2 hospitals can add to the total of accusations at 0\.1"):
        check_lone_contributors(rows, Membership(allowed=(0.1,)), few)
    with pytest.raises(HospitalError, match=r"1 hospitals can add to the total of accusations at 0\.01"):
        check_lone_contributors(
            rows, Membership(allowed=(0.01, 0.1)), handed_round(hospital, chosen, (500, 80, 80))
        )
    for shares in ((0.5,), (0.01,), (0.1, 0.01), (0.1, 0.1)):
        with pytest.raises(ValidationError, match="expected one of"):
            Membership(allowed=shares)


class _Asked:
    """As much of a question's rows as the rule looks at."""

    def __init__(self, chosen: Study, name: str) -> None:
        self.study, self.query = chosen, Query(name=name, study=chosen.hash, roster=ROSTER, splits=F)
