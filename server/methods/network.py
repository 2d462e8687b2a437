"""A network for every model and training set, trained in rounds: mirrored by client/queries/network.py.

w_{t+1} = step(w_t, Σ_h n_h Δ_h / Σ_h n_h), where Δ_h is what hospital h's own training changes, its norm at most C
(`network.clip`), n_h its training patients, and `step` the study's strategy (server/methods/network_strategies/). All
training sets and models train together: one exchange a round. Updates are summed on a scale that is public before the
round (common/networks/bounds.py): a sum of integers, exact to n/2 units of 2^(E + ⌈log2 n⌉ − 62).

Early stopping: beside every outer training set a copy is trained without the first of its inner folds. After the round
in which the copy's loss on that fold was least, the outer set's own weights are taken; training ends once no copy has
gained for `patience` rounds.

What leaves: per network Σ n_h Δ_h, Σ n_h, how many hospitals trained, losses at the weights sent, as masked totals.
Rounds: `network.rounds` at most. Totals are in the checkpoint, so a resumed run works the weights out again from them.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from common.networks.bounds import bounds
from common.networks.rounds import participants
from common.networks.settings import Network
from common.query import Total, View
from common.room import Room
from common.splits import FINAL, INNER
from common.study import Study
from server.federation import Federation
from server.methods.models import Models, OneModel, columns_of_models
from server.methods.network_strategies import strategy_of
from server.methods.network_strategies.joined import joined_of
from server.methods.pipeline import Prepared
from server.progress import Progress

if TYPE_CHECKING:
    from server.evaluation.attention import Attention
    from server.evaluation.second_task import SecondJudged

SAID = 20
"""Rounds of which a person is told, spread over the training."""


@dataclass(frozen=True)
class Curve:
    """The loss of one network, round by round, at the weights that the round began with; None: nobody was asked."""

    loss: tuple[float | None, ...]
    validation: tuple[float | None, ...] = ()
    chosen: int = 0
    """After how many rounds its weights were taken."""


@dataclass(frozen=True)
class Networks:
    """Trained networks of a study, and how they were trained.

    Parameters
    ----------
    curves
        By model and outer split.
    weights
        Outer splits × models × weights.
    """

    splits: tuple[str, ...]
    models: tuple[str, ...]
    curves: dict[tuple[str, str], Curve]
    weights: np.ndarray
    columns: np.ndarray
    rounds: int
    trained: tuple[tuple[str, ...], ...]
    strategy: str
    notes: tuple[str, ...] = ()
    attention: "Attention | None" = None
    second: "Mapping[str, SecondJudged]" = field(default_factory=dict)

    @property
    def number_of_weights(self) -> int:
        """Of one network."""
        return int(self.weights.shape[-1])


@dataclass
class _Training:
    """Where training stands: the networks of all outer splits, then those of their inner folds."""

    settings: Network
    weights: np.ndarray
    outer: int
    best: np.ndarray = field(init=False)
    chosen: np.ndarray = field(init=False)
    least: np.ndarray = field(init=False)
    losses: list[np.ndarray] = field(default_factory=list)
    validated: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.best = self.weights[: self.outer].copy()
        self.chosen = np.zeros(self.outer, dtype=np.int64)
        self.least = np.full(self.outer, np.inf)

    def note(self, number: int, total: Total) -> bool:
        """Note the losses of a round at the weights that it began with; whether training goes on.

        Parameters
        ----------
        number
            The round, from 1: its weights come after `number − 1` rounds.
        """
        sums = total.sums
        self.losses.append(_means(sums["loss"], sums["patients"])[: self.outer])
        stopping = self.settings.early_stopping
        if stopping is None:
            return True
        found = _means(sums["validation"], sums["validated"])[self.outer :]
        self.validated.append(found)
        if number == 1:  # untrained weights are no model
            return True
        beaten = np.where(np.isfinite(self.least), self.least * (1 - stopping.smallest_gain), np.inf)
        gained = found < beaten
        self.least = np.where(gained, found, self.least)
        self.best[gained] = self.weights[: self.outer][gained]
        self.chosen[gained] = number - 1
        return bool((number - 1 - self.chosen < stopping.patience).any())

    def end(self, rounds: int) -> None:
        """Without early stopping the last weights are taken."""
        if self.settings.early_stopping is None or rounds < 2:
            self.best, self.chosen = self.weights[: self.outer].copy(), np.full(self.outer, rounds)


def fit_networks(
    federation: Federation, study: Study, prepared: Prepared, active: np.ndarray, room: Room, progress: Progress
) -> Models:
    """Train every model in every split.

    Parameters
    ----------
    active
        Splits × columns: what selection left.
    room
        The hospitals of the roster, with their numbers of patients.
    """
    from common.networks.build import first_weights, settings_of  # PyTorch, where a study has a network
    from common.networks.flat import round_to_single

    settings = settings_of(study)
    outer = tuple(split for split in federation.splits if INNER not in split)
    inner = tuple(f"{split}{INNER}0" for split in outer) if settings.early_stopping is not None else ()
    splits, models = (*outer, *inner), study.models()
    masks = columns_of_models(study, prepared, active)
    columns = [
        tuple(np.flatnonzero(masks[name][federation.splits.index(split)]).tolist())
        for split in splits
        for name in models
    ]
    inputs = max(1, max(map(len, columns)))
    start = np.array([first_weights(study, inputs, name) for name in models])
    training = _Training(settings, np.tile(start, (len(splits), 1)), len(outer) * len(models))
    most, names = max(seat.patients for seat in room.seats), room.names
    strategy = strategy_of(settings, training.weights.shape, len(names))
    asked = {
        "of": [k // len(models) for k in range(len(columns))],
        "columns": [list(numbers) for numbers in columns],
        "model": [k % len(models) for k in range(len(columns))],
        "patients": most,
    }
    trained: list[tuple[str, ...]] = []
    began = time.monotonic()
    for number in range(1, settings.rounds + 1):
        total = federation.ask(
            "train_network",
            view=prepared.view,
            splits=splits,
            parameters=asked | {"round": number, "bounds": bounds(settings, number, most)},
            arrays={"weights": training.weights, **strategy.sent()},
        )
        trained.append(participants(study, names, number))
        goes_on = training.note(number, total)
        _say(progress, settings, training, number, len(trained[-1]), time.monotonic() - began)
        if not goes_on:
            break
        training.weights = strategy.step(training.weights, joined_of(total.sums))
        if settings.single:
            round_to_single(training.weights.reshape(-1))  # as hospitals load them
    training.end(len(trained))
    networks = _networks(training, outer, models, columns, inputs, tuple(trained), settings)
    by_name = {name: OneModel(masks[name][: len(outer)], None, np.zeros(len(outer))) for name in models}
    return Models(by_name, federation.keep(_view(networks, prepared)), networks)


def _means(sums: np.ndarray, patients: np.ndarray) -> np.ndarray:
    return np.where(patients > 0, sums / np.maximum(patients, 1.0), np.nan)


def _networks(
    training: _Training,
    splits: tuple[str, ...],
    models: tuple[str, ...],
    columns: list[tuple[int, ...]],
    inputs: int,
    trained: tuple[tuple[str, ...], ...],
    settings: Network,
) -> Networks:
    shape = (len(splits), len(models))
    laid_out = np.full((training.outer, inputs), -1.0)
    for k in range(training.outer):
        laid_out[k, : len(columns[k])] = columns[k]
    losses, validated = np.array(training.losses), np.array(training.validated)
    curves = {
        (name, split): Curve(
            loss=_numbers(losses[:, k]),
            validation=_numbers(validated[:, k]) if len(validated) else (),
            chosen=int(training.chosen[k]),
        )
        for k, (split, name) in enumerate((split, name) for split in splits for name in models)
    }
    return Networks(
        splits=splits,
        models=models,
        curves=curves,
        weights=training.best.reshape(*shape, -1),
        columns=laid_out.reshape(*shape, inputs),
        rounds=len(trained),
        trained=trained,
        strategy=settings.strategy,
        notes=_notes(training, splits, settings, len(models)),
    )


def _numbers(values: np.ndarray) -> tuple[float | None, ...]:
    return tuple(float(v) if np.isfinite(v) else None for v in values)


def _notes(training: _Training, splits: tuple[str, ...], settings: Network, models: int) -> tuple[str, ...]:
    """What a reader should know of the training."""
    final = np.array([loss[splits.index(FINAL) * models] for loss in training.losses])
    if settings.early_stopping is None and len(final) > 2 and final[-1] > final.min() + 0.05 * abs(final.min()):
        return (
            f"The network's loss rose again before its last round ({final[-1]:.3f}, least {final.min():.3f}): take a "
            "lower learning_rate, or early_stopping.",
        )
    return ()


def _view(networks: Networks, prepared: Prepared) -> View:
    rounds = np.array([[networks.curves[m, s].chosen for m in networks.models] for s in networks.splits])
    arrays = {"weights": networks.weights, "columns": networks.columns, "rounds": rounds.astype(np.float64)}
    return View(step="network", parent=prepared.view, splits=networks.splits, arrays=arrays)


def _say(
    progress: Progress, settings: Network, training: _Training, number: int, hospitals: int, seconds: float
) -> None:
    """Tell whoever watches how training goes."""
    if number % max(1, settings.rounds // SAID) and number != settings.rounds:
        return
    validated = f", {np.nanmean(training.validated[-1]):.4f} on inner folds" if training.validated else ""
    left = seconds / number * (settings.rounds - number)
    progress.notice(
        f"network, round {number} of {settings.rounds}: loss {np.nanmean(training.losses[-1]):.4f}{validated}; "
        f"{hospitals} hospitals trained; about {left:.0f} s left"
    )
