"""A run that goes on after its process died: who must be there again, and who was lost and need not be."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from common import wire
from common.errors import Code, HospitalLost, StudyStopped
from common.query import Answer, Disclosed
from server import deployed, study_run
from server.app import CHECKPOINT
from server.checkpoint import Begun, Checkpoint, Loss
from server.deployed import expected, note_lost, wait_for_hospitals
from server.hospitals import Hospitals
from server.progress import Silence
from server.progress_file import ProgressFile
from server.roll_call import Present, roll_call
from server.runs import Request, Run, create_run
from tests.hospitals_on_disk import study

NAMES = ("alder", "birch", "cedar", "damson")


def said(name: str, version: str = "1") -> bytes:
    figures = Disclosed(hospital=name, patients=40, features=("f",), fingerprint={"hepafed": version})
    return wire.answer_to_bytes(Answer(disclosed=figures))


@dataclass
class Connected:
    """Hospitals that answer a roll call, in the place of server/hospitals.py."""

    answers: dict[str, bytes]
    progress: Silence = field(default_factory=Silence)
    node_of: dict[str, int] = field(default_factory=dict)
    said: dict[str, Disclosed] = field(default_factory=dict)

    @property
    def grid(self) -> Any:
        nodes = [SimpleNamespace(node_id=number, name=name) for number, name in enumerate(self.answers)]
        return SimpleNamespace(get_nodes=lambda: nodes)

    def ask_everyone(self, _: object) -> dict[int, bytes]:
        return dict(enumerate(self.answers.values()))


def called(names: tuple[str, ...], begun: Begun | None, version: str = "1") -> Present:
    connected = Connected({name: said(name, version) for name in names})
    return roll_call(cast(Hospitals, connected), study(), begun)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    kept = Checkpoint(tmp_path / "checkpoint.sqlite")
    kept.begin(study())
    kept.begin_with(called(NAMES, None).begun)
    return kept


def test_a_hospital_that_was_lost_need_not_be_there_again_and_is_reported_as_before(
    checkpoint: Checkpoint,
) -> None:
    before = called(NAMES, checkpoint.begun())
    checkpoint.keep_loss(Loss("damson", Code.SILENT, "moments"))
    found = called(NAMES[:3], checkpoint.begun(), version="1")
    assert (found.roster, found.disclosed, found.bytes_up) == (before.roster, before.disclosed, before.bytes_up)


def test_the_others_may_have_been_brought_to_another_version_meanwhile(checkpoint: Checkpoint) -> None:
    checkpoint.keep_loss(Loss("damson", Code.SILENT, "moments"))
    assert called(NAMES[:3], checkpoint.begun(), version="2").roster == NAMES


def test_a_hospital_that_was_not_lost_must_be_there(checkpoint: Checkpoint) -> None:
    checkpoint.keep_loss(Loss("damson", Code.SILENT, "moments"))
    with pytest.raises(StudyStopped, match="began with cedar"):
        called(("alder", "birch", "damson"), checkpoint.begun())


def test_a_checkpoint_of_an_earlier_version_stops_in_words(checkpoint: Checkpoint) -> None:
    begun = checkpoint.begun()
    assert begun is not None
    with pytest.raises(StudyStopped, match="began with damson"):
        called(NAMES[:3], Begun(begun.roster, begun.left_out, {}, frozenset({"damson"})))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    created = create_run(tmp_path / "runs", study(), Request("running", NAMES, time.time()))
    kept = Checkpoint(created.folder / CHECKPOINT)
    kept.begin(study())
    kept.begin_with(called(NAMES, None).begun)
    kept.close()
    return created


def test_who_stays_away_when_a_run_is_started_again_is_lost_and_not_waited_for_twice(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployed, "LOOK_SECONDS", 0.01)
    grid: Any = SimpleNamespace(get_nodes=lambda: [SimpleNamespace(name=name) for name in NAMES[:3]])
    with ProgressFile(run.progress_file) as progress:
        assert expected(run) == NAMES
        away = wait_for_hospitals(grid, expected(run), 0.03, progress)
        note_lost(run, away)
        assert expected(run) == NAMES[:3]
        assert wait_for_hospitals(grid, expected(run), 60, progress) == frozenset()
    losses = Checkpoint(run.folder / CHECKPOINT).losses()
    assert losses == [Loss("damson", Code.SILENT, "roll_call")]


def test_nobody_is_lost_where_hardly_anybody_is_there(run: Run) -> None:
    note_lost(run, frozenset(NAMES[1:]))
    assert expected(run) == NAMES


@pytest.mark.parametrize(
    ("leaves_out", "said"),
    [
        (
            True,
            r"^3 hospitals are left, and leaving one out .* takes 4: damson was lost: no_answer at 'moments'\.",
        ),
        (False, r"^birch does not allow .*Before, damson was lost"),
    ],
)
def test_too_few_hospitals_to_leave_one_out_are_not_blamed_on_one_that_has_approved(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, leaves_out: bool, said: str
) -> None:
    chosen = study(validation={"folds": 5, "leave_one_hospital_out": leaves_out})
    refusals = iter((("damson", Code.SILENT), ("birch", Code.SINGLE_HOSPITAL)))

    def refused(*_: object) -> None:
        hospital, code = next(refusals)
        raise HospitalLost(hospital, code, "moments")

    monkeypatch.setattr(study_run, "conduct", refused)
    monkeypatch.setattr(study_run, "FlowerFederation", lambda *_: None)
    present, nobody = called(NAMES, None), cast(Hospitals, None)
    with pytest.raises(StudyStopped, match=said):
        study_run._until_nobody_is_lost(chosen, nobody, present, checkpoint, Silence())
