"""Strategies of federated training at equal rounds, over synthetic hospitals that differ strongly; five seeds.

Settings were fixed before the first run, and nothing was tuned. Hospitals differ in size, in how common the outcome is,
in the columns' means and spreads, and a little in what the outcome depends on. Every strategy trains the same network
from the same weights with the same local work, by the functions that hospitals and coordinator run; beside them stand
each hospital alone and all rows in one place. Judged on patients held out in every hospital. Writes docs/strategies.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from sklearn.metrics import roc_auc_score

from client.networks.local_training import Patients, lines_of, train
from common.networks.build import first_weights, own_layers, settings_of
from common.study import Study
from server.methods.network_strategies import strategy_of
from server.methods.network_strategies.joined import Joined

DOCUMENT = Path(__file__).parents[1] / "docs" / "strategies.md"
COLUMNS = 20
SIZES = (40, 60, 80, 120, 160, 240)
PREVALENCE = (0.15, 0.7, 0.3, 0.5, 0.2, 0.6)
HELD_OUT = 200
"""Patients a hospital on whom models are judged: many, so that the table's noise is that of training."""

COMMON: dict[str, Any] = {"hidden": [16], "rounds": 20, "local_epochs": 5, "batch_size": 16, "learning_rate": 0.05}
STRATEGIES: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "fedprox": {"mu": 0.1},
    "fedadam": {"server_learning_rate": 0.03},
    "fedyogi": {"server_learning_rate": 0.03},
    "scaffold": {},
    "fedbn": {"normalisation": "batch"},
    "personal heads": {"strategy": "fedavg", "personal": "head"},
}


@dataclass(frozen=True)
class Hospital:
    """Who is trained on, and who is held out."""

    training: Patients
    held_out: Patients


def hospitals(seed: int) -> list[Hospital]:
    """Hospitals that differ in size, outcome, columns and, a little, in what matters."""
    rng = np.random.default_rng(seed)
    truth, crossed = rng.normal(size=COLUMNS) / np.sqrt(COLUMNS) * 2, rng.normal(size=(COLUMNS, COLUMNS)) / COLUMNS
    found = []
    for size, prevalence in zip(SIZES, PREVALENCE, strict=True):
        own = truth + 0.3 * rng.normal(size=COLUMNS) / np.sqrt(COLUMNS)
        x = rng.normal(size=(size + HELD_OUT, COLUMNS))
        line = x @ own + np.einsum("ij,jk,ik->i", x, crossed, x)
        chance = 1 / (1 + np.exp(-(line - np.quantile(line, 1 - prevalence))))
        y = (rng.uniform(size=len(x)) < chance).astype(np.float64)
        seen = x * np.exp(0.5 * rng.normal(size=COLUMNS)) + 1.0 * rng.normal(size=COLUMNS)
        found.append((seen, y, size))
    every = np.concatenate([x[:n] for x, _, n in found])
    centre, spread = every.mean(axis=0), every.std(axis=0)

    def patients(x: np.ndarray, y: np.ndarray) -> Patients:
        return Patients((x - centre) / spread, y)

    return [Hospital(patients(x[:n], y[:n]), patients(x[n:], y[n:])) for x, y, n in found]


def study_of(seed: int, **settings: Any) -> Study:
    """A study with this network."""
    content = {
        "study": "strategies",
        "outcome": {"kind": "binary", "column": "outcome"},
        "predictors": {"clinical": [f"x{j}" for j in range(COLUMNS)]},
        "model": {"kind": "network"},
        "network": COMMON | settings,
        "seed": seed,
    }
    return Study.from_content(content, "benchmark")


def federated(study: Study, there: list[Hospital]) -> Callable[[int, np.ndarray], np.ndarray]:
    """Train over all hospitals; a function that scores patients of the hospital of a number."""
    settings = settings_of(study)
    weights = first_weights(study, COLUMNS, "")
    strategy = strategy_of(settings, (1, len(weights)), len(there))
    mine = own_layers(study, COLUMNS)
    own: list[np.ndarray | None] = [None] * len(there)

    def with_own(h: int) -> np.ndarray:
        if not settings.keeps_own or own[h] is None:
            return weights
        mixed = weights.copy()
        mixed[mine] = own[h]
        return mixed

    for number in range(1, settings.rounds + 1):
        update, control, patients = np.zeros((1, len(weights))), np.zeros((1, len(weights))), 0
        for h, hospital in enumerate(there):
            variates: dict[str, np.ndarray] = {}
            if settings.strategy == "scaffold":
                before = own[h]
                variates = {"control": strategy.sent()["control"][0]}
                variates["own_control"] = np.zeros(len(weights)) if before is None else before
            trained = train(study, hospital.training, with_own(h), number, f"hospital {h}", **variates)
            change = trained.weights - weights
            change *= min(1.0, settings.clip / np.sqrt((change**2).sum()))
            update[0] += len(hospital.training) * change
            patients += len(hospital.training)
            if settings.strategy == "scaffold":
                control[0] += trained.control - variates["own_control"]
                own[h] = trained.control
            elif settings.keeps_own:
                own[h] = trained.weights[mine]
        weights = strategy.step(weights[None], Joined(update / patients, control))[0]

    def score(h: int, matrix: np.ndarray) -> np.ndarray:
        reference = there[h].training.matrix if settings.strategy == "fedbn" else None
        return lines_of(study, matrix, with_own(h), reference)[:, 0]

    return score


def in_one_place(study: Study, training: Patients) -> Callable[[int, np.ndarray], np.ndarray]:
    """Train on rows in one place for as many rounds."""
    weights = first_weights(study, COLUMNS, "")
    for number in range(1, settings_of(study).rounds + 1):
        weights = train(study, training, weights, number, "one place").weights
    return lambda _, matrix: lines_of(study, matrix, weights)[:, 0]


def judge(there: list[Hospital], score: Callable[[int, np.ndarray], np.ndarray]) -> tuple[float, float, float]:
    """Mean AUC within hospitals, the lowest of them, and the mean loss of held-out patients."""
    aucs, losses = [], []
    for h, hospital in enumerate(there):
        line, y = score(h, hospital.held_out.matrix), hospital.held_out.outcome
        aucs.append(float(roc_auc_score(y, line)))
        losses.append(float(np.mean(np.logaddexp(0, line) - y * line)))
    return float(np.mean(aucs)), min(aucs), float(np.mean(losses))


def together(parts: list[Patients]) -> Patients:
    """All rows in one place."""
    return Patients(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("matrix", "outcome")))


def main(
    seeds: Annotated[int, typer.Option(help="Seeds, each with hospitals of its own.")] = 5,
    document: Annotated[Path, typer.Option(help="Where the table goes.")] = DOCUMENT,
) -> None:
    """Run every strategy at equal rounds and write the table."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(seeds):
        there = hospitals(seed)
        plain = study_of(seed)
        alone = [in_one_place(plain, hospital.training) for hospital in there]
        scores: dict[str, Callable[[int, np.ndarray], np.ndarray]] = {
            "each hospital alone": lambda h, x, alone=alone: alone[h](h, x),
            "all rows in one place": in_one_place(plain, together([h.training for h in there])),
        }
        scores |= {
            name: federated(study_of(seed, **({"strategy": name} | own)), there)
            for name, own in STRATEGIES.items()
        }
        for name, score in scores.items():
            found.setdefault(name, []).append(judge(there, score))
            typer.echo(f"seed {seed}, {name}: " + ", ".join(f"{value:.4f}" for value in found[name][-1]))
    document.write_text(_page(found, seeds), encoding="utf-8")


def _page(found: dict[str, list[tuple[float, float, float]]], seeds: int) -> str:
    rows = []
    for name, values in found.items():
        mean, deviation = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) if seeds > 1 else np.zeros(3)
        cells = [f"{m:.3f} ± {d:.3f}" for m, d in zip(mean, deviation, strict=True)]
        own = ", ".join(f"`{k}: {v}`" for k, v in STRATEGIES.get(name, {}).items())
        rows.append(f"| {name} | {own} | {' | '.join(cells)} |")
    common = ", ".join(f"`{key}: {value}`" for key, value in COMMON.items())
    return "\n".join(
        [
            "# Strategies side by side",
            "",
            "Made by `python benchmarks/strategies.py`; the rows stand in the script's order. Settings were fixed",
            "before the first run and nothing was tuned: the table says how strategies fare with ordinary settings,",
            "not which could be made best.",
            "",
            f"{len(SIZES)} synthetic hospitals of {', '.join(map(str, SIZES))} training patients, {COLUMNS} columns.",
            f"The outcome is had by {', '.join(f'{p:.0%}' for p in PREVALENCE)} of their patients; each hospital",
            "has its own means and spreads in every column, no harmonisation takes them out, and the outcome depends",
            f"on the columns a little differently in each. {common} for all.",
            f"Judged on {HELD_OUT} other patients of every hospital; mean ± standard deviation over {seeds} seeds,",
            "each with hospitals of its own.",
            "",
            "| | its settings | AUC within a hospital, mean | AUC, lowest hospital | loss a patient |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    typer.run(main)
