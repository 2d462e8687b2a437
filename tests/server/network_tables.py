"""Federations of tables whose model is a network, and the same training on all rows in one place."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch

from common.networks import flat
from common.networks.build import build, first_weights, settings_of
from common.networks.heads import loss_of
from common.networks.rounds import batches, learning_rate
from common.networks.seeds import seed_of
from common.room import Room, Seat
from common.study import Study
from server.methods.models import Models
from server.methods.network import fit_networks
from server.progress import Silence
from tests.server.tables import Tables, standardised, tables

COLUMNS = ["a", "b", "c"]
SMALL: dict[str, Any] = {"hidden": [4], "rounds": 3, "learning_rate": 0.3}


def equal_hospitals(patients: int = 40, seed: int = 1) -> pd.DataFrame:
    """Three hospitals of the same size: a binary outcome, and times with events."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(3 * patients, 3)), columns=COLUMNS)
    table["hospital"] = np.repeat(["alder", "birch", "cedar"], patients)
    line = table["a"] - 0.5 * table["b"] * table["c"]
    table["mvi"] = (rng.uniform(size=len(table)) < 1 / (1 + np.exp(-line))).astype(float)
    table["days"] = np.round(400 * rng.exponential(np.exp(-0.5 * line))) + 1
    table["died"] = (rng.uniform(size=len(table)) < 0.7).astype(float)
    return table


def network_tables(
    table: pd.DataFrame, settings: dict[str, Any], observed: list[str] | None = None, **asked: Any
) -> tuple[Tables, str]:
    """A federation over the table's columns with `network: settings`."""
    sections: dict[str, Any] = {
        "model": {"kind": "network"},
        "network": SMALL | settings,
        "validation": {"folds": 0, "leave_one_hospital_out": False},
    }
    if observed:
        sections["outcome"] = {"kind": "survival", "time": observed[0], "event": observed[1]}
        sections["variables"] = {observed[0]: {"unit": "days"}}
    return tables(table, observed or ["mvi"], COLUMNS, **(sections | asked))


def trained(federation: Tables, view: str, **also: Any) -> Models:
    """All networks of the federation's study, over all columns."""
    splits = len(federation.splits)
    everything = np.ones((splits, len(COLUMNS)), dtype=bool)
    prepared: Any = SimpleNamespace(view=view, columns=tuple(COLUMNS), used=everything)
    seats = tuple(
        Seat(hospital=name, patients=len(m.cohort.ids)) for name, m in sorted(federation.members.items())
    )
    return fit_networks(
        also.get("through", federation),
        federation.study,
        prepared,
        everything,
        Room(seats),
        also.get("progress", Silence()),
    )


def pooled(study: Study, table: pd.DataFrame, observed: list[str]) -> np.ndarray:
    """Plain SGD in one place: every step takes the gradient over the batches that the hospitals take in it.

    Survival: the mean of the hospitals' own losses, each with risk sets of its own.
    """
    settings = settings_of(study)
    matrix, outcome = standardised(table, COLUMNS), table[observed].to_numpy()
    outcome = outcome if len(observed) > 1 else outcome[:, 0]
    module = build(study, len(COLUMNS))
    flat.load(module, first_weights(study, len(COLUMNS), ""))
    survival = study.outcome.kind == "survival"
    hospitals = [np.flatnonzero(table["hospital"] == name) for name in sorted(set(table["hospital"]))]
    for number in range(1, settings.rounds + 1):
        steps = settings.steps(len(hospitals[0]), survival)
        drawn = [
            batches(
                len(rows),
                settings.batch(len(rows), survival),
                steps,
                seed_of(study.seed, f"{name}/final@", number),
            )
            for name, rows in zip(sorted(set(table["hospital"])), hospitals, strict=True)
        ]
        for step in range(steps):
            chosen = [rows[own[step]] for rows, own in zip(hospitals, drawn, strict=True)]
            groups = chosen if survival else [np.concatenate(chosen)]
            module.zero_grad()
            loss = torch.zeros(())
            for rows in groups:
                x, y = torch.tensor(matrix[rows]), torch.tensor(outcome[rows])
                loss = loss + loss_of(study, module(x), y) / len(groups)
            loss.backward()
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter -= learning_rate(settings, number) * parameter.grad
    return flat.vector_of(module)
