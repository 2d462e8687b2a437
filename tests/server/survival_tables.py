"""Real survival tables dealt to uneven hospitals, asked in memory: the queries' own functions, and their totals."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.datasets import load_gbsg2, load_lung, load_rossi

from client.queries import QUERIES
from client.queries.registry import Asked
from common.outcomes import SurvivalOutcome
from common.query import Answer, Total, add
from common.room import Room, Seat
from common.splits import FINAL
from common.study import Study

SHARES = {"alder": 0.1, "birch": 0.15, "cedar": 0.3, "dogwood": 0.45}
FOLDS = 3
LABELS = ("apparent", "kfold/0")


def gbsg2() -> pd.DataFrame:
    """686 patients with breast cancer, 299 recurrences, in days."""
    table = load_gbsg2()
    table = table.assign(
        grade=table["tgrade"].map({"I": 1, "II": 2, "III": 3}), hormone=(table["horTh"] == "yes").astype(float)
    )
    table["pnodes"] = np.log(table["pnodes"])
    table["progrec"] = np.log1p(table["progrec"])
    return _dealt(table, "time", "cens", ["age", "grade", "hormone", "pnodes", "progrec"])


def rossi() -> pd.DataFrame:
    """432 released prisoners, 114 arrests, in days; nobody lost before a year."""
    table = load_rossi().assign(days=lambda t: t["week"] * 7.0)
    return _dealt(table, "days", "arrest", ["fin", "age", "prio", "mar", "race"])


def lung() -> pd.DataFrame:
    """228 patients with lung cancer, 165 deaths, in days."""
    table = load_lung().dropna(subset=["ph.ecog"])
    return _dealt(table, "time", "status", ["age", "sex", "ph.ecog"])


def _dealt(table: pd.DataFrame, time: str, event: str, columns: list[str]) -> pd.DataFrame:
    """Time, event and standardised columns; hospitals and folds at random; scores by Cox, and held out by fold."""
    rng = np.random.default_rng(11)
    kept = pd.DataFrame({"time": table[time].astype(float), "event": table[event].astype(float)})
    values = table[columns].astype(float)
    kept[columns] = (values - values.mean()) / values.std(ddof=0)
    kept = kept.reset_index(drop=True)
    kept["hospital"] = rng.choice(list(SHARES), size=len(kept), p=list(SHARES.values()))
    fold = rng.integers(0, FOLDS, len(kept))
    for split, training in _training(fold).items():
        fitted = CoxPHFitter().fit(kept.loc[training, ["time", "event", *columns]], "time", "event")
        kept[split] = kept[columns].to_numpy() @ fitted.params_.to_numpy()
    kept["fold"] = fold
    return kept


def _training(fold: np.ndarray) -> dict[str, np.ndarray]:
    return {FINAL: np.ones(len(fold), bool)} | {f"kfold/0/{f}": fold != f for f in range(FOLDS)}


def held_out(table: pd.DataFrame, label: str) -> np.ndarray:
    """The score of every patient by the model that did not see it (apparent: the final model)."""
    if label == "apparent":
        return table[FINAL].to_numpy()
    return np.choose(table["fold"], [table[f"kfold/0/{f}"] for f in range(FOLDS)])


def survival_study(**outcome: Any) -> Study:
    """A study of such a table."""
    return Study.from_content(
        {
            "study": "survival",
            "outcome": {"kind": "survival", "time": "time", "event": "event"} | outcome,
            "predictors": {"clinical": ["age"]},
            "model": {"kind": "cox", "penalty": "none"},
            "validation": {"folds": FOLDS, "leave_one_hospital_out": False},
        },
        "test study",
    )


@dataclass
class RowsOfATable:
    """What a query may look at, for one hospital of a table."""

    table: pd.DataFrame
    query: Any

    @property
    def study(self) -> Any:
        """As much of it as scores depend on."""
        return SimpleNamespace(outcome=SimpleNamespace(kind="survival"))

    @property
    def cohort(self) -> Any:
        """Times, events and competing events."""
        competing = self.table.get("competing", pd.Series(False, index=self.table.index))
        return SimpleNamespace(
            ids=tuple(self.table.index),
            outcome=self.table[["time", "event"]].to_numpy(),
            competing=competing.to_numpy(dtype=bool),
        )

    def scores(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        """Held-out scores and outcomes."""
        return held_out(self.table, label), self.cohort.outcome

    def probabilities(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        """The same between 0 and 1."""
        score, outcome = self.scores(label)
        return 1 / (1 + np.exp(-score)), outcome

    def linear_predictors(self, split: str, _: str = "") -> np.ndarray:
        """By the model of one split."""
        return self.table[[split]].to_numpy()

    def held_out_of(self, scheme: str) -> Iterator[tuple[str, np.ndarray]]:
        """The splits of a scheme and whom they hold out."""
        fold = self.table["fold"].to_numpy()
        splits = [FINAL] if scheme == "apparent" else [f"kfold/0/{f}" for f in range(FOLDS)]
        for split in splits:
            yield split, np.ones(len(fold), bool) if split == FINAL else ~_training(fold)[split]

    def chosen(self) -> Iterator[tuple[str, np.ndarray]]:
        """Training rows, split by split."""
        training = _training(self.table["fold"].to_numpy())
        for split in self.query.splits:
            yield split, training[split]

    def refuse_weights_on_few_patients(self, weights: np.ndarray) -> None:
        """A table in memory refuses nothing."""


class TableFederation:
    """`Federation.ask` over a table's hospitals."""

    def __init__(self, table: pd.DataFrame, hospitals: bool = True) -> None:
        names = table["hospital"] if hospitals else pd.Series("all", index=table.index)
        self.hospitals = {str(name): rows for name, rows in table.groupby(names)}
        self.asked: list[str] = []
        self.totals: dict[str, Total] = {}
        self.arrays: dict[str, Mapping[str, np.ndarray]] = {}
        self.splits = (FINAL, *(f"kfold/0/{f}" for f in range(FOLDS)))
        self.room = Room(tuple(Seat(hospital=n, patients=len(t)) for n, t in sorted(self.hospitals.items())))

    def ask(
        self,
        name: str,
        *,
        view: str | None = None,
        splits: Iterable[str] = (),
        rows: str = "training",
        parameters: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        also: Iterable[str] = (),
    ) -> Total:
        """The total of the hospitals' answers."""
        del view, rows, also
        self.asked.append(name)
        self.arrays[name] = arrays or {}
        kind = QUERIES[name]
        query = SimpleNamespace(splits=tuple(splits), name=name)
        read = kind.parameters.model_validate(
            {**(parameters or {}), **(arrays or {})}, context=Asked(len(query.splits), 1)
        )
        answers: dict[str, Answer] = {
            hospital: kind.answer(RowsOfATable(own, query), read)  # type: ignore[arg-type]
            for hospital, own in self.hospitals.items()
        }
        self.totals[name] = add(answers)
        return self.totals[name]


def outcome_of(study: Study) -> SurvivalOutcome:
    """The study's outcome, known to be survival."""
    assert isinstance(study.outcome, SurvivalOutcome)
    return study.outcome
