"""`hepafed site ledger` and `hepafed site identity`, as an officer types them."""

import csv
import re
import socket
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from client.identity import Identity
from client.ledger import START, Leaving, Ledger, head
from client.site import Site, open_site
from client.store import Store
from common import wire
from common.errors import Code
from common.query import Answer, Disclosed, Query
from tests.command import hepafed
from tests.hospitals_on_disk import study

STUDY = study(predictors={"clinical": ["age"]})
ROSTER = ("east", "north", "south")


def leave(site: Site, answer: Answer, masked: bytes | None = None, sent: bool = True) -> None:
    unmasked = wire.answer_to_bytes(answer)
    query = Query(name="logistic", study=STUDY.hash, roster=ROSTER)
    with closing(Store(site.own)) as store:
        store.keep_study(STUDY.hash, STUDY.to_json())
        ledger = Ledger(store, Identity.open(site.own))
        leaving = Leaving(query, masked or unmasked, unmasked, {"minimum_patients": 10})
        number = ledger.prepare(leaving)
        if sent:
            ledger.sent(number)


def tamper(site: Site, statement: str) -> None:
    with closing(Store(site.own)) as store:
        for (trigger,) in store.all("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            store.run(f"DROP TRIGGER {trigger}")
        store.run(statement)


@pytest.fixture
def north(tmp_path: Path) -> Site:
    """Four answers: one masked, one repeated, one refused, one never sent."""
    folder = tmp_path / "north"
    folder.mkdir()
    site = open_site(folder)
    sums = {"gradient": np.array([[1.25, -2.5], [0.1, np.nan]]), "loss": np.array(3.0)}
    answer = Answer(sums=sums, disclosed=Disclosed(patients=40))
    leave(site, answer, masked=b"noise")
    leave(site, answer, masked=b"noise")
    leave(site, Answer.refusal(Code.TOO_FEW_PATIENTS, "north"))
    leave(site, Answer(disclosed=Disclosed(hospital="north")), sent=False)
    return site


def test_the_ledger_is_listed_with_what_left_and_what_was_refused(north: Site) -> None:
    ran = hepafed("site", "ledger", north.folder)
    assert ran.exit_code == 0, ran.output
    rows = [line for line in ran.output.splitlines() if "logistic" in line]
    assert len(rows) == 4
    assert "gradient 2×2, loss 1; in clear: patients" in rows[0]
    assert f"{STUDY.study} {STUDY.hash[:8]}" in rows[0]
    assert "the same bytes as in entry 1" in rows[1]
    assert "refused: too_few_patients" in rows[2]
    assert ["sent" in row for row in rows] == [True, True, True, False]
    assert "prepared" in rows[3]


def test_a_narrow_screen_shows_whole_times(north: Site) -> None:
    said = hepafed("site", "ledger", north.folder, columns=80).output
    assert len(re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said)) == 4, said
    assert "…" not in said


def test_the_ledger_is_written_as_a_table(north: Site, tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    assert hepafed("site", "ledger", north.folder, "--csv", path).exit_code == 0
    with path.open() as file:
        first, repeated, refused, prepared = csv.DictReader(file)
    assert (first["kind"], first["state"], first["arrays"]) == ("answer", "sent", "gradient 2×2, loss 1")
    assert (first["roster"], first["thresholds"]) == ("east north south", "minimum_patients=10")
    assert first["digest"] != first["digest_before_masking"]
    assert (repeated["kind"], repeated["of"], repeated["digest"]) == ("repetition", "1", first["digest"])
    assert refused["code"] == "too_few_patients"
    assert prepared["state"] == "prepared"
    again = hepafed("site", "ledger", north.folder, "--csv", path)
    assert (again.exit_code, "is there already" in again.output) == (2, True)


@pytest.mark.parametrize("number", [1, 3])
def test_an_entry_is_shown_with_a_summary_of_the_answer_before_masking(north: Site, number: int) -> None:
    ran = hepafed("site", "ledger", north.folder, "--show", number)
    assert ran.exit_code == 0, ran.output
    assert "The answer before masking, kept in this hospital alone:" in ran.output
    assert "in clear, patients: 40" in ran.output
    summary = next(
        line for line in ran.output.splitlines() if "gradient" in line and "2×2" in line and "│" in line
    )
    assert [cell.strip() for cell in summary.strip("│").split("│")] == [
        *("gradient", "2×2", "-2.5", "-0.383333", "1.25", "1")
    ]
    assert "Held against: minimum_patients 10" in ran.output


def test_every_value_is_shown_if_asked_for(north: Site) -> None:
    ran = hepafed("site", "ledger", north.folder, "--show", 1, "--values")
    assert "[[ 1.25 -2.5 ]" in ran.output
    assert "[ 0.1" in ran.output


def test_an_entry_that_is_not_there_is_named(north: Site) -> None:
    for number in (2, 99):  # the second entry says that the first was sent
        ran = hepafed("site", "ledger", north.folder, "--show", number)
        assert (ran.exit_code, f"no answer with the number {number}" in ran.output) == (2, True)


def test_a_ledger_that_is_whole_is_said_to_be(north: Site) -> None:
    ran = hepafed("site", "ledger", north.folder, "--verify")
    assert (ran.exit_code, "7 entries: none edited, removed or moved" in ran.output) == (0, True)
    assert "--against" in ran.output


def test_what_was_changed_is_named_and_the_exit_code_tells(north: Site) -> None:
    tamper(north, "UPDATE ledger SET entry = replace(entry, 'too_few_patients', 'unknown_query')")
    ran = hepafed("site", "ledger", north.folder, "--verify")
    assert ran.exit_code == 1
    assert "entry 5: it was edited" in ran.output


def test_last_entries_that_are_gone_are_missed_against_the_head_that_was_printed(north: Site) -> None:
    printed = hepafed("site", "ledger", north.folder, "--head").output.strip()
    assert hepafed("site", "ledger", north.folder, "--verify", "--against", printed).exit_code == 0
    tamper(north, "DELETE FROM ledger WHERE number > 5")
    assert hepafed("site", "ledger", north.folder, "--verify").exit_code == 0
    ran = hepafed("site", "ledger", north.folder, "--verify", "--against", printed)
    assert (ran.exit_code, f"the head {printed} is not in this ledger" in ran.output) == (1, True)


def test_a_store_that_is_gone_is_missed_against_a_head(tmp_path: Path) -> None:
    nothing = hepafed("site", "ledger", tmp_path)
    assert (nothing.exit_code, "nothing has left" in nothing.output) == (0, True)
    assert list(tmp_path.iterdir()) == []
    assert hepafed("site", "ledger", tmp_path, "--verify", "--against", START).exit_code == 0
    ran = hepafed("site", "ledger", tmp_path, "--verify", "--against", "ab" * 32)
    assert (ran.exit_code, "is not there, and with it every entry" in ran.output) == (1, True)


def test_the_head_goes_to_a_syslog(north: Site) -> None:
    with closing(Store(north.own)) as store:
        number, last = head(store)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(10)
        ran = hepafed("site", "ledger", north.folder, "--syslog", f"127.0.0.1:{syslog.getsockname()[1]}")
        heard = syslog.recv(4096)
    assert ran.exit_code == 0, ran.output
    assert heard.rstrip(b"\0").decode() == f"<86>hepafed ledger of north: {number} entries, head {last}"


def test_the_head_goes_to_the_syslog_of_the_machine(north: Site, tmp_path: Path) -> None:
    place = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(place))
        syslog.settimeout(10)
        assert hepafed("site", "ledger", north.folder, "--syslog", place).exit_code == 0
        assert b"hepafed ledger of north: 7 entries, head " in syslog.recv(4096)


def test_a_syslog_that_cannot_be_reached_is_said(north: Site, tmp_path: Path) -> None:
    ran = hepafed("site", "ledger", north.folder, "--syslog", tmp_path / "nowhere")
    assert ran.exit_code == 2
    assert "nowhere" in ran.output
    assert "Traceback" not in ran.output
    assert hepafed("site", "ledger", north.folder, "--syslog", "host:port").exit_code == 2


def test_a_lost_key_is_said_with_what_is_lost(north: Site) -> None:
    (north.own.path / "store.key").unlink()
    ran = hepafed("site", "ledger", north.folder)
    assert ran.exit_code == 2
    assert "store.key is not there" in ran.output
    assert "Not lost: patients.csv" in ran.output


def test_the_signatures_are_not_checked_with_a_key_that_was_just_made(north: Site) -> None:
    north.own.identity.unlink()
    ran = hepafed("site", "ledger", north.folder, "--verify")
    assert (ran.exit_code, "identity.key is not there: put it back" in ran.output) == (2, True)
    assert not north.own.identity.exists()


@pytest.mark.parametrize("options", [("--values",), ("--against", "ab"), ("--show", "0")])
def test_options_that_make_no_sense_are_refused(north: Site, options: tuple[str, ...]) -> None:
    assert hepafed("site", "ledger", north.folder, *options).exit_code == 2


def test_the_identity_is_printed_to_be_compared(north: Site) -> None:
    opened = Identity.open(north.own)
    ran = hepafed("site", "identity", north.folder)
    assert ran.exit_code == 0
    assert ran.output.splitlines() == [
        "Name: north",
        f"Fingerprint, to be read out: {opened.spoken_fingerprint}",
        f'Line for a roster: north: "{opened.fingerprint}"',
    ]
    assert hepafed("site", "identity", north.folder / "missing").exit_code == 2


def test_the_key_of_the_store_is_renewed_and_the_ledger_stays_whole(north: Site) -> None:
    before = hepafed("site", "identity", north.folder).output
    old = (north.own.path / "store.key").read_text()
    ran = hepafed("site", "identity", north.folder, "--new-store-key")
    assert ran.exit_code == 0, ran.output
    assert ran.output.endswith(before)
    assert (north.own.path / "store.key").read_text() != old
    assert hepafed("site", "ledger", north.folder, "--verify").exit_code == 0
