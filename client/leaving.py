"""A hospital leaves a study: nothing more is answered, its copies of results go, and the memory of the gate stays.

What stays has a reason. The ledger is the proof of what was sent. What was asked and answered is what keeps the same
patients from being asked for again in another way; a hospital that forgot it could be subtracted from itself. Copies of
results that another study wrote, or of which nobody can tell whose they are, stay too, and are named.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from client.approval import approvals, revoke
from client.gate_rules.memory import Memory
from client.own_copies import alone_in, copies_in, delete_copies, writer_of
from client.site import Site
from client.store import Store
from common.errors import HepafedError

STAYS = (
    "the ledger: what was sent, and when; it cannot be edited",
    "what was asked and answered, and the digest of the cohort: without it the same patients could be asked for again",
    "the privacy budget that was spent on patients, which is never given back",
    "the hospital's keys, its data, and its part in other studies, with the copies of results that they wrote",
    "at the coordinator: totals that this hospital is part of, and models that were released; they are sums",
)
"""In words, for whoever leaves."""


@dataclass(frozen=True)
class Copies:
    """The copies of results in the hospital's own folder, as a study that is left finds them.

    Parameters
    ----------
    go
        This study wrote them.
    stay
        Each with the reason why it stays.
    """

    go: tuple[Path, ...]
    stay: tuple[tuple[Path, str], ...]


@dataclass(frozen=True)
class Left:
    """What leaving a study did."""

    revoked: tuple[str, ...]
    copies: Copies


def copies_of(site: Site, study: str) -> Copies:
    """Which copies go when a study, by name or hash, is left, and why the others stay.

    Raises
    ------
    HepafedError
        Where no such study was ever approved here: there is nothing to leave.
    """
    with closing(Store(site.own)) as store:
        return _copies_of(site, store, study, _approved(store, study))


def leave(site: Site, study: str) -> Left:
    """Revoke every approval of a study, by name or hash, and delete this hospital's copies of its results."""
    with closing(Store(site.own)) as store:
        hashes = _approved(store, study)
        revoked = tuple(revoke(store, study))
        with alone_in(site.own_folder):
            copies = _copies_of(site, store, study, hashes)
            delete_copies(site.own_folder, list(copies.go))
    return Left(revoked, copies)


def _approved(store: Store, study: str) -> set[str]:
    """The hashes of every version of a study that was ever approved here; one that was revoked since is left, too."""
    hashes = {given.study for given in approvals(store) if study in (given.study, given.name)}
    if not hashes:
        raise HepafedError(
            f"{study}: no study of this name or hash was ever approved here; hepafed site ledger shows what was "
            "answered. Nothing was changed"
        )
    return hashes


def _copies_of(site: Site, store: Store, study: str, hashes: set[str]) -> Copies:
    # Before they were noted, a copy can be told only where no other study has ever been answered about patients.
    others = sorted({kept.name for kept in Memory(store).cohorts() if kept.study not in hashes})
    go: list[Path] = []
    stay: list[tuple[Path, str]] = []
    for path in copies_in(site.own_folder):
        writer = writer_of(site.own_folder, path)
        if writer is None and not others:
            go.append(path)
        elif writer is None:
            why = (
                f"it was changed since a study wrote it, or nobody noted which one did: {study} or "
                f"{', '.join(others)}; look into it, and delete it by hand if it is of {study}"
            )
            stay.append((path, why))
        elif writer.hash in hashes:
            go.append(path)
        else:
            stay.append((path, f"the study {writer.study} ({writer.hash[:12]}…) wrote it"))
    return Copies(tuple(go), tuple(stay))
