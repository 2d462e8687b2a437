"""A federation of tables in memory: the real queries on real rows, without files, gates or a network."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from client import queries
from client.cohort.cohort import Cohort
from client.members import Members
from client.networks.own_state import StateInMemory
from client.rows import Rows
from client.site import Site, SiteFile
from client.view import Views
from common.query import Query, RowSet, Total, View, add
from common.splits import splits_of
from common.study import Study
from tests.hospitals_on_disk import study


@dataclass
class Kept:
    """The views that were sent, as a hospital's store keeps them."""

    path: Path
    views: dict[str, bytes] = field(default_factory=dict)

    def view(self, view_hash: str) -> bytes:
        return self.views[view_hash]


@dataclass
class Tables:
    """Hospitals as tables; every question is answered by the query itself, and answers are added."""

    study: Study
    members: dict[str, Members]
    kept: Kept = field(default_factory=lambda: Kept(Path("nowhere")))
    asked: list[Query] = field(default_factory=list)
    numbers_up: list[int] = field(default_factory=list)
    lower_profile: bool = True
    states: dict[str, StateInMemory] = field(default_factory=dict)

    @property
    def splits(self) -> tuple[str, ...]:
        return splits_of(self.study, self.members)

    def keep(self, view: View) -> str:
        self.kept.views[view.hash] = view.to_bytes()
        return view.hash

    def ask(
        self,
        name: str,
        *,
        view: str | None = None,
        splits: Iterable[str] = (),
        rows: RowSet = "training",
        parameters: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        also: Iterable[str] = (),
    ) -> Total:
        travelled = json.loads(json.dumps(dict(parameters or {})))
        query = Query(
            name, self.study.hash, tuple(self.members), tuple(splits), rows, view, travelled, arrays or {}
        )
        self.asked.append(query)
        answers = {hospital: self._answer(hospital, query) for hospital in self.members}
        self.numbers_up.append(sum(array.size for array in answers[next(iter(answers))].sums.values()))
        return add(answers)

    def _answer(self, hospital: str, query: Query) -> queries.registry.Answer:
        members = self.members[hospital]
        site = Site(hospital, Path("nowhere"), Path("nowhere"), SiteFile(), self.lower_profile)
        state = self.states.setdefault(hospital, StateInMemory())
        rows = Rows(site, members, Views(members, self.kept, state), query)
        kind, parameters = queries.read(rows)
        return kind.answer(rows, parameters)


def tables(table: pd.DataFrame, observed: list[str], columns: list[str], **asked: Any) -> tuple[Tables, str]:
    """A federation over a table with a column `hospital`, and a view of columns standardised over all patients.

    Parameters
    ----------
    observed
        The columns of the outcome: one, or time and event.
    asked
        Sections of the study.
    """
    chosen = study(**({"predictors": {"clinical": columns}} | asked))
    members = {}
    for name, own in table.groupby("hospital"):
        known = own[observed].to_numpy(dtype=np.float64)
        cohort = Cohort(
            ids=tuple(str(i) for i in own.index),
            columns={c: own[c].to_numpy(dtype=np.float64) for c in columns},
            absent=(),
            feature_names=(),
            features=np.zeros((len(own), 0)),
            outcome=known if len(observed) > 1 else known[:, 0],
            competing=own.get("competing", pd.Series(False, index=own.index)).to_numpy(dtype=bool),
            scanner=("",) * len(own),
            flow={},
            notes=(),
            digest=f"{name} {pd.util.hash_pandas_object(own).sum()}",
        )
        members[str(name)] = Members(str(name), chosen, cohort, guard="lower")
    federation = Tables(chosen, members)
    splits = federation.splits
    centre, spread = table[columns].mean().to_numpy(), table[columns].std(ddof=0).to_numpy()
    root = View("columns", parameters={"columns": columns})
    filled = View("impute", federation.keep(root), splits, {}, {"fill": np.tile(centre, (len(splits), 1))})
    scaled = View(
        "scale",
        federation.keep(filled),
        splits,
        {},
        {"centre": np.tile(centre, (len(splits), 1)), "spread": np.tile(spread, (len(splits), 1))},
    )
    return federation, federation.keep(scaled)


def standardised(table: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """What that view shows of all patients, in the table's order."""
    values = table[columns]
    scaled: np.ndarray = ((values - values.mean()) / values.std(ddof=0)).to_numpy()
    return scaled
