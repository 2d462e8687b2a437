"""A hospital leaves a study: nothing more is answered, its copies of results go, and the memory of the gate stays.

What stays has a reason. The ledger is the proof of what was sent. What was asked and answered is what keeps the same
patients from being asked for again in another way; a hospital that forgot it could be subtracted from itself.
"""

import shutil
from contextlib import closing
from dataclasses import dataclass

from client.approval import revoke
from client.site import Site
from client.store import Store
from common.errors import HepafedError

COPIES = (
    "predictions.csv",
    "recalibration.json",
    "worth_joining.md",
    "worth_joining.json",
    "harmonised.csv",
    "harmonisation.svg",
    "attention",
    "survival.csv",
    "survival_recalibration.json",
)
"""What studies write into the hospital's own folder (client/queries/own_copy.py, own_survival.py): the last one's.

`attention` is a folder: a picture a patient.
"""

STAYS = (
    "the ledger: what was sent, and when; it cannot be edited",
    "what was asked and answered, and the digest of the cohort: without it the same patients could be asked for again",
    "the privacy budget that was spent on patients, which is never given back",
    "the hospital's keys, its data, and its part in other studies",
    "at the coordinator: totals that this hospital is part of, and models that were released; they are sums",
)
"""In words, for whoever leaves."""


@dataclass(frozen=True)
class Left:
    """What leaving a study did."""

    revoked: tuple[str, ...]
    deleted: tuple[str, ...]


def leave(site: Site, study: str) -> Left:
    """Revoke every approval of a study, by name or hash, and delete this hospital's copies of results."""
    with closing(Store(site.own)) as store:
        revoked = tuple(revoke(store, study))
        if not revoked:
            raise HepafedError(
                f"{study}: no approval of a study of this name or hash that still holds; hepafed site ledger shows "
                "what was answered. Nothing was changed"
            )
    deleted = []
    for name in COPIES:
        path = site.own_folder / name
        if not path.exists():
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        deleted.append(str(path))
    return Left(revoked, tuple(deleted))
