"""A network's update is large: it is kept once, sealed beside the store, and whoever asks again gets the same bytes."""

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from client.backup import back_up, restore
from client.large_answers import LARGE
from client.ledger import Leaving, entries, kept_answer
from client.ledger_check import check_ledger
from client.resealing import reseal
from client.site import open_site
from client.store import Store
from common import wire
from common.errors import HepafedError, HospitalError
from common.query import Answer, canonical_json
from tests.client.kept_ledger import Kept, leaving

STUDY = "s" * 64
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    opened = Kept(tmp_path / "own")
    with closing(opened.store):
        yield opened


def answered(kept: Kept, weights: int) -> tuple[Leaving, str]:
    """An answer of so many weights as the app keeps it, then the ledger; and its roster."""
    asked = leaving().query
    assert asked is not None
    packed = wire.answer_to_bytes(Answer(sums={"update": np.random.default_rng(1).normal(size=weights)}))
    digest, roster = sha256(packed).hexdigest(), canonical_json(sorted(asked.roster))
    assert kept.store.keep_answer(STUDY, asked.question, roster, packed, digest, False) is packed
    leaves = Leaving(asked, b"masked", packed, digest=digest)
    kept.ledger.prepare(leaves)
    return leaves, roster


def stored(kept: Kept) -> tuple[int, int]:
    """Bytes of answers in the store, and beside it."""
    sizes = kept.store.first(
        "SELECT (SELECT sum(length(answer)) FROM answered) + (SELECT sum(length(answer)) FROM ledger_answers)"
    )
    assert sizes is not None
    folder = kept.own.large_answers
    return int(sizes[0]), sum(file.stat().st_size for file in folder.iterdir()) if folder.exists() else 0


@pytest.mark.parametrize(("weights", "inside", "beside"), [(LARGE // 8 + 1, 0, 1), (1000, 2, 0)])
def test_a_large_answer_is_kept_once_and_sent_again_to_the_same_bytes(
    kept: Kept, weights: int, inside: int, beside: int
) -> None:
    leaves, roster = answered(kept, weights)
    assert leaves.query is not None
    size = len(leaves.answer)
    assert stored(kept) == pytest.approx((inside * size, beside * size), abs=200)
    assert kept.store.answered(STUDY, leaves.query.question, roster).answer == leaves.answer
    another = (b"{another}", sha256(b"{another}").hexdigest(), False)
    assert kept.store.keep_answer(STUDY, leaves.query.question, roster, *another) == leaves.answer
    kept.ledger.prepare(leaves)
    assert kept_answer(kept.store, entries(kept.store)[0]) is not None
    assert kept.faults() == ()


def test_what_lies_beside_the_store_shows_nothing_and_is_its_owners_alone(kept: Kept) -> None:
    leaves, _ = answered(kept, LARGE // 8 + 1)
    (file,) = kept.own.large_answers.iterdir()
    sealed = file.read_bytes()
    assert leaves.answer[:40] not in sealed
    assert leaves.answer[-40:] not in sealed
    assert leaves.digest is not None
    assert leaves.digest not in file.name, "who guesses an answer could confirm it"
    assert file.stat().st_mode & 0o077 == 0
    assert kept.own.large_answers.stat().st_mode & 0o077 == 0


def test_an_answer_that_was_taken_out_of_the_ledger_is_not_worked_out_anew(kept: Kept) -> None:
    leaves, roster = answered(kept, LARGE // 8 + 1)
    assert leaves.query is not None
    kept.tamper("DELETE FROM ledger_answers")
    with pytest.raises(HospitalError, match="no longer in the ledger"):
        kept.store.answered(STUDY, leaves.query.question, roster)


@pytest.mark.parametrize(("damage", "found"), [("gone", "removed"), ("changed", "edited"), ("swapped", "edited")])
def test_a_file_that_is_gone_or_another_is_found_and_nothing_is_sent_instead(
    damage: str, found: str, kept: Kept
) -> None:
    leaves, roster = answered(kept, LARGE // 8 + 1)
    assert leaves.query is not None
    (file,) = kept.own.large_answers.iterdir()
    if damage == "gone":
        file.unlink()
    elif damage == "changed":
        content = bytearray(file.read_bytes())
        content[1000] ^= 1
        file.write_bytes(content)
    else:
        other = wire.answer_to_bytes(Answer(sums={"update": np.ones(LARGE)}))
        kept.ledger.prepare(Leaving(leaving(1).query, other, other))
        (later,) = set(kept.own.large_answers.iterdir()) - {file}
        later.replace(file)
    assert any(found in fault for fault in kept.faults())
    with pytest.raises(HospitalError, match="put back a backup"):
        kept.store.answered(STUDY, leaves.query.question, roster)


@pytest.mark.parametrize("damage", ["a key of another length", "a folder"])
def test_what_somebody_put_in_its_place_is_found_by_the_check_of_the_ledger(damage: str, kept: Kept) -> None:
    answered(kept, LARGE // 8 + 1)
    (file,) = kept.own.large_answers.iterdir()
    if damage == "a folder":
        file.unlink()
        file.mkdir()
    else:
        kept.tamper("UPDATE ledger_answers SET answer = ?", b"beside short")
    assert any("edited" in fault for fault in kept.faults())


def test_a_new_key_of_the_store_opens_what_lies_beside_it(kept: Kept) -> None:
    leaves, roster = answered(kept, LARGE // 8 + 1)
    assert leaves.query is not None
    kept.store.close()
    reseal(kept.own)
    with closing(Store(kept.own)) as store:
        assert store.answered(STUDY, leaves.query.question, roster).answer == leaves.answer


def test_a_backup_holds_large_answers_too(tmp_path: Path) -> None:
    folder = tmp_path / "alder"
    folder.mkdir()
    (folder / "patients.csv").write_text("id\nA\n", encoding="utf-8")
    site = open_site(folder)
    kept = Kept(site.own_folder)
    with closing(kept.store):
        leaves, roster = answered(kept, LARGE // 8 + 1)
    assert leaves.query is not None
    back_up(site, tmp_path / "backup", PASSPHRASE)
    site.own.store.rename(tmp_path / "store")
    for name in ("identity.key", "store.key"):
        (site.own_folder / name).unlink()
    with pytest.raises(HepafedError, match=r"store\.sqlite\.answers is there"):
        restore(site, tmp_path / "backup", PASSPHRASE)
    site.own_folder.rename(tmp_path / "lost")
    restore(site, tmp_path / "backup", PASSPHRASE)
    with closing(Store(site.own)) as store:
        assert store.answered(STUDY, leaves.query.question, roster).answer == leaves.answer
        assert check_ledger(store, kept.identity.public_bytes).faults == ()
    assert site.own.large_answers.stat().st_mode & 0o077 == 0
