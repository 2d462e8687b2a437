"""A ledger on disk for tests, and what somebody does to it who holds the store's key."""

from pathlib import Path

import numpy as np

from client.identity import Identity
from client.ledger import Leaving, Ledger
from client.ledger_check import check_ledger
from client.sealing import OwnFolder
from client.store import Store
from common import wire
from common.errors import Code
from common.query import Answer, Disclosed, Query

ROSTER = ("north", "east", "south")


def leaving(question: int = 0, packed: bytes | None = None, code: Code | None = None) -> Leaving:
    answer = Answer(sums={"gradient": np.arange(3.0) + question}, disclosed=Disclosed(patients=40))
    unmasked = wire.answer_to_bytes(answer if code is None else Answer.refusal(code, "north"))
    query = Query(name="logistic", study="s" * 64, roster=ROSTER, parameters={"step": question})
    return Leaving(query, unmasked if packed is None else packed, unmasked, {"minimum_patients": 10})


class Kept:
    """A ledger in a folder, with its store."""

    def __init__(self, folder: Path) -> None:
        self.own = OwnFolder(folder)
        self.store = Store(self.own)
        self.identity = Identity.open(self.own)
        self.ledger = Ledger(self.store, self.identity)

    def faults(self, exported: str | None = None) -> tuple[str, ...]:
        return check_ledger(self.store, self.identity.public_bytes, exported).faults

    def tamper(self, statement: str, *values: object) -> None:
        """What somebody does who holds the store's key."""
        for (trigger,) in self.store.all("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            self.store.run(f"DROP TRIGGER {trigger}")
        self.store.run("DROP INDEX IF EXISTS ledger_repeated")
        self.store.run(statement, *values)
