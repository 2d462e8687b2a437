"""A hospital of sixty patients that approved a study, and the questions of a coordinator that is curious.

The studies are unmasked, so that a test can see what would be summed; masks make no difference to the gate.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts, respond
from common import wire
from common.errors import Code
from common.query import Answer, Query, View
from common.study import Study
from tests.approved import approve_here, room_of
from tests.client.counted_together import Neighbour, alike, counted_together
from tests.client.test_app import COLUMNS, ONE, ROSTER, log_of, scaled
from tests.hospitals_on_disk import study

PATIENTS = 60
F = ("final",)


@pytest.fixture
def chosen() -> Study:
    return asking()


def asking(**changes: Any) -> Study:
    content: dict[str, Any] = {
        "predictors": {"clinical": ["age", "size"], "radiomics": None},
        "validation": {"folds": 2, "leave_one_hospital_out": True},
        "privacy": {"secure_sum": False},
    }
    return study(**(content | changes))


@pytest.fixture
def hospital(tmp_path: Path) -> Whereabouts:
    folder = tmp_path / "north"
    folder.mkdir()
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "id": [f"SECRET-{i}" for i in range(PATIENTS)],
            "age": rng.integers(40, 80, PATIENTS),
            "size": rng.normal(40, 9, PATIENTS).round(1),
            "kernel": ["soft"] * (PATIENTS - 1) + ["sharp"],
            "mvi": np.arange(PATIENTS) % 2,
        }
    )
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "site.yaml").write_text("policy: {unmasked_sums: true}\n")
    return Whereabouts(folder, folder / ".hepafed")


def ask(
    hospital: Whereabouts,
    chosen: Study,
    name: str,
    views: Sequence[View] = (),
    room: str | None = None,
    others: int = 80,
    counts: Sequence[bytes] = (),
    **query: Any,
) -> Answer:
    asked = Query(name=name, study=chosen.hash, **({"roster": ROSTER, "splits": F} | query))
    handed = room_of(hospital, chosen, asked.roster, PATIENTS, others) if room is None else room
    record = wire.query_to_record(asked, {view.hash: view.to_bytes() for view in views}, handed, counts=counts)
    return wire.answer_from_bytes(respond(hospital, record).packed)


def count(
    hospital: Whereabouts,
    chosen: Study,
    name: str,
    views: Sequence[View] = (),
    neighbour: Neighbour = alike,
    **query: Any,
) -> bytes:
    """Ask for counts; the total of the hospital and its neighbours, opened, as it is handed round."""
    asked = Query(name=name, study=chosen.hash, **({"roster": ROSTER, "splits": F} | query))
    answer = ask(hospital, chosen, name, views, **query)
    assert answer.sums, log_of(hospital)
    return counted_together(hospital, chosen, asked, views, answer.sums, neighbour).to_bytes()


def call_roll(hospital: Whereabouts, chosen: Study) -> Answer:
    """Approve a study, and answer its roll call."""
    approve_here(hospital, chosen, ROSTER)
    return ask(hospital, chosen, "roll_call", roster=(), splits=(), parameters={"study": chosen.to_json()})


def moments(hospital: Whereabouts, chosen: Study, **more: Any) -> Answer:
    splits = more.get("splits", F)
    asked: dict[str, Any] = {"view": COLUMNS.hash, "arrays": {"centre": np.zeros((len(splits), 2))}}
    return ask(hospital, chosen, "moments", **({"views": (COLUMNS,)} | asked | more))


def logistic(hospital: Whereabouts, chosen: Study, beta: Sequence[float], **more: Any) -> Answer:
    views = scaled(F)
    asked: dict[str, Any] = {"views": views, "view": views[-1].hash, "arrays": {"beta": np.array([beta])}}
    asked["parameters"] = ONE
    return ask(hospital, chosen, "logistic", **(asked | more))


def refused(hospital: Whereabouts, answer: Answer, code: Code, why: str) -> None:
    assert answer.disclosed.code is code, log_of(hospital)
    assert not answer.sums
    assert why in log_of(hospital).strip().splitlines()[-1]


def allow_single(hospital: Whereabouts, **more: Any) -> None:
    policy = {"unmasked_sums": "true", "single_hospital_sums": "true"} | more
    lines = ", ".join(f"{name}: {value}" for name, value in policy.items())
    (hospital.folder / "site.yaml").write_text(f"policy: {{{lines}}}\n")
