"""The version of a store's tables: an older store is brought up to date when it is opened, a newer one is refused.

A table that is new is simply made. The version counts the other changes: those after which an earlier Hepafed would
misread the store. Each has a step here that changes what is there, and counts together with its number or not at all.
"""

import sqlite3
from pathlib import Path

from common.errors import Code, HospitalError

STEPS: tuple[tuple[str, ...], ...] = ((), ())
"""The statements that bring a store from version 0, 1, … to the next. 0 is what was written before versions were
counted; until then tables had only been added. Since 2 large answers may lie beside the store; older ones stay in."""


def newest() -> int:
    """The version that this Hepafed writes."""
    return len(STEPS)


def bring_up_to_date(database: sqlite3.Connection, path: Path) -> None:
    """Take the steps that an older store lacks; HospitalError where the store is newer than this Hepafed."""
    while (found := version_of(database)) != newest():
        if found > newest():
            raise HospitalError(
                Code.STORE_SEALED,
                f"{path} was written by a newer Hepafed (version {found} of its tables; this one reads {newest()} and "
                "older): install that Hepafed again. Nothing was changed. A backup made before the update can be put "
                "back with hepafed site restore, without what was answered since",
            )
        database.execute("BEGIN IMMEDIATE")
        try:
            if version_of(database) == found:  # another process may have come first
                if database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table'").fetchone():
                    for statement in STEPS[found]:
                        database.execute(statement)
                    after = found + 1
                else:
                    after = newest()  # a new store has the newest tables
                database.execute(f"PRAGMA user_version = {after}")
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise


def version_of(database: sqlite3.Connection) -> int:
    """The version of a store's tables."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])
