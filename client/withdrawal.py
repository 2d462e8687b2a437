"""Patients who have withdrawn: they leave every cohort at once, and a study that had frozen one with them stops.

The totals before and after would differ by one patient. So a running study is suspended rather than answered
without the patient; it goes on as a new version once its cohort has changed by ten patients and more. A model that
was released is not fitted again.
"""

from contextlib import closing

from client.sealing import OwnFolder, connect
from client.store import Store

TABLE = "CREATE TABLE IF NOT EXISTS withdrawn (patient TEXT PRIMARY KEY, withdrawn_at TEXT NOT NULL)"
THERE = "SELECT 1 FROM sqlite_master WHERE name = 'withdrawn'"


def withdraw(store: Store, patient: str) -> None:
    """Leave a patient out of everything from now on."""
    store.run(TABLE)
    store.run("INSERT OR IGNORE INTO withdrawn VALUES (?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))", patient)


def withdrawn(own: OwnFolder) -> frozenset[str]:
    """The patients who have withdrawn, by the store of a hospital's own folder; nobody where there is no store."""
    if not own.store.is_file() or not own.store.stat().st_size:
        return frozenset()
    with closing(connect(own, read_only=True)) as database:
        if database.execute(THERE).fetchone() is None:
            return frozenset()
        return frozenset(str(row[0]) for row in database.execute("SELECT patient FROM withdrawn"))
