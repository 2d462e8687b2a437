"""A round of a network's training: mirrored by server/methods/network.py."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, log10
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, StrictInt, ValidationInfo, field_validator, model_validator

from client.patches.packing import packed_patches
from client.queries.problems import MOST_PROBLEMS
from client.queries.registry import Asked, ColumnNumbers, Parameters, bounded_array, query
from client.rows import Rows
from client.second_outcome import second_outcome
from client.view_bounds import MAXIMUM_COEFFICIENT
from common.errors import Code, HospitalError
from common.networks import bounds as public
from common.networks.rounds import participants
from common.networks.settings import Network
from common.query import Answer, Arrays
from common.splits import INNER

if TYPE_CHECKING:
    from client.networks.local_training import Patients

EXPLODED = 1e3
"""An update whose norm is so many times the agreed bound is no training: nothing of it is sent."""


class Round(Parameters):
    """Which networks are trained, and from which weights.

    Parameters
    ----------
    of, columns
        The number of each network's split among the query's, and the columns of the view that it looks at, ascending.
    model
        The number of its model among the study's.
    round
        From 1.
    patients
        At least the largest hospital's number of patients; the sums' bounds follow from it.
    bounds
        The exponents that no value of `update` and `control` exceeds (common/networks/bounds.py).
    weights
        Networks × weights: where training starts; as they came, so perhaps 32-bit floats.
    control
        SCAFFOLD: the control variate of everybody.
    """

    of: tuple[StrictInt, ...]
    columns: tuple[ColumnNumbers, ...]
    model: tuple[StrictInt, ...]
    round: StrictInt = Field(ge=1, le=1000)
    patients: StrictInt = Field(ge=1, le=public.MOST_PATIENTS)
    bounds: dict[str, StrictInt]
    weights: bounded_array(2, -MAXIMUM_COEFFICIENT, MAXIMUM_COEFFICIENT, single=True)  # type: ignore[valid-type]
    control: bounded_array(2, -1e12, 1e12) | None = None  # type: ignore[valid-type]

    @field_validator("of")
    @classmethod
    def _splits_of_the_query(cls, of: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        splits = info.context.splits if isinstance(info.context, Asked) else len(of)
        if not 0 < len(of) <= MOST_PROBLEMS or set(of) != set(range(splits)):
            raise ValueError(f"expected every one of the {splits} splits to have a network, and no other")
        return of

    @field_validator("columns")
    @classmethod
    def _ascending(cls, columns: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        if any(list(numbers) != sorted(numbers) for numbers in columns):
            raise ValueError("the columns of a network ascend")
        return columns

    @model_validator(mode="after")
    def _as_many_of_each(self) -> "Round":
        many = {len(self.of), len(self.columns), len(self.model), len(self.weights)}
        if len(many) > 1 or (self.control is not None and self.control.shape != self.weights.shape):
            raise ValueError("splits, columns, models, weights and control variates are not as many")
        return self

    @property
    def inputs(self) -> int:
        """Columns of the widest network: all have the same shape, and narrower ones see zeros."""
        return max(1, max(map(len, self.columns)))


@dataclass(frozen=True)
class _Network:
    """One network at this hospital: a training set, a model, its patients and those on whom it is validated."""

    place: int
    name: str
    patients: "Patients"
    validated: tuple["Patients", ...]


LOSS_DECIMALS = 3
"""As of the figures that a hospital says in clear."""
LOSS_DIGITS = 4
"""At the most: weights that make a loss of millions would have its decimals tell the columns of one patient."""


@query(
    "train_network",
    Round,
    leaves="Per fold and model: the change of the network's weights after training here, its norm clipped to the "
    "study's bound, times the number of patients; that number; the loss at the weights that were sent, and on inner "
    "folds the loss of the patients held out, their means to three decimals, four digits at the most. "
    "Weights chosen by a coordinator can pull data through a change of weights, masked or not: so a round is an epoch "
    "or ten steps at least, and the total alone is opened.",
)
def train_network(rows: Rows, asked: Round) -> Answer:
    """Σ n_h Δ_h with ‖Δ_h‖ at most the agreed bound, and n_h, the loss and the validation loss, for every network."""
    from client.networks import local_training
    from common.networks import flat

    study, settings = rows.study, settings_for(rows, asked)
    training = rows.site.name in participants(study, rows.query.roster, asked.round)
    names = ("weight", "trained", "loss", "patients", "validation", "validated")
    sums: Arrays = {name: np.zeros(len(asked.of)) for name in names} | {"update": np.zeros(asked.weights.shape)}
    if settings.strategy == "scaffold":
        sums["control"] = np.zeros(asked.weights.shape)
    for network in _networks(rows, asked):
        k, patients, weights = network.place, network.patients, asked.weights[network.place]
        sums["patients"][k] = len(patients)
        if not len(patients):
            continue
        start = _with_own(rows, settings, network.name, asked, weights)
        reference = patients.matrix if settings.strategy == "fedbn" else None
        if network.validated:
            held_out = [local_training.loss(study, p, start, reference) for p in network.validated]
            sums["validated"][k] = len(network.validated[0]) - sum(map(len, network.validated[1:]))
            sums["validation"][k] = _rounded(held_out[0] - sum(held_out[1:]), int(sums["validated"][k]))
        if not training:
            sums["loss"][k] = _rounded(local_training.loss(study, patients, start, reference), len(patients))
            continue
        variates: dict[str, np.ndarray] = {}
        if settings.strategy == "scaffold":
            own = rows.views.own_state.up_to(network.name, asked.round - 1)
            variates = {
                "control": np.zeros(len(weights)) if asked.control is None else asked.control[k],
                "own_control": np.zeros(len(weights)) if own is None else own,
            }
        seed = f"{rows.site.name}/{network.name}"
        trained = local_training.train(study, patients, start, asked.round, seed, **variates, reference=reference)
        sums["loss"][k] = _rounded(trained.loss, len(patients))
        update = sums["update"][k]
        flat.change(trained.module, weights, update)
        update *= len(patients) * _kept(rows, update, settings.clip)
        if settings.single:
            flat.round_to_single(update)  # as exact as the training, in half the bytes
        sums["weight"][k], sums["trained"][k] = len(patients), 1.0
        if settings.strategy == "scaffold":
            change = trained.control - variates["own_control"]
            change *= _kept(rows, change, public.largest_control(settings, asked.round))
            sums["control"][k] = change
            kept = variates["own_control"] + change
            rows.views.own_state.keep(network.name, asked.round, kept, only_last=True)
        elif settings.keeps_own:
            own = trained.weights[_own_places(rows, asked.inputs)]
            rows.views.own_state.keep(network.name, asked.round, own, only_last=False)
    return Answer(sums=sums)


def settings_for(rows: Rows, asked: Round) -> Network:
    """The study's settings, where the question keeps to them; HospitalError where it does not."""
    study, settings = rows.study, rows.study.network
    if study.model.kind != "network" or settings is None:
        raise _refused("the study has no network")
    if rows.query.rows != "training":
        raise _refused("a network is trained on training rows")
    if asked.round > settings.rounds:
        raise _refused(f"round {asked.round}: the study has {settings.rounds}")
    if len(rows.cohort.ids) > asked.patients:
        raise _refused("this hospital has more patients than the sums' bounds were made for")
    if dict(asked.bounds) != public.bounds(settings, asked.round, asked.patients):
        raise _refused("the sums' bounds are not those that follow from the study")
    if (asked.control is not None) != (settings.strategy == "scaffold"):
        raise _refused("control variates belong to strategy: scaffold, and to no other")
    if any(not 0 <= number < len(study.models()) for number in asked.model):
        raise _refused(f"the study has {len(study.models())} models")
    if len({(of, model) for of, model in zip(asked.of, asked.model, strict=True)}) != len(asked.of):
        raise _refused("a model of one split is named twice")
    from common.networks.build import size

    if asked.weights.shape[1] != size(study, asked.inputs):
        raise _refused(
            f"{asked.weights.shape[1]} weights for a network of {size(study, asked.inputs)} over {asked.inputs} columns"
        )
    return settings


def name_of(rows: Rows, split: str, model: int) -> str:
    """What a network's own state is kept under."""
    return f"{split}@{rows.study.models()[model]}"


def _rounded(loss: float, patients: int) -> float:
    """A sum of losses, its mean rounded: with all digits, weights that one patient alone moves would give its row."""
    if not patients or not isfinite(mean := loss / patients):
        return loss if patients else 0.0
    before_the_point = int(log10(max(1.0, abs(mean)))) + 1
    return round(mean, min(LOSS_DECIMALS, LOSS_DIGITS - before_the_point)) * patients


def _networks(rows: Rows, asked: Round) -> Iterator[_Network]:
    """Every network with its patients, split by split, so that a split's matrix is worked out once."""
    from client.networks.local_training import Patients

    second = second_outcome(rows.study, rows.cohort)
    tables = zip(rows.chosen(), rows.tables(), strict=True)
    for number, ((split, chosen), (matrix, outcome)) in enumerate(tables):
        for k in (k for k, of in enumerate(asked.of) if of == number):
            columns, model = asked.columns[k], rows.study.models()[asked.model[k]]
            images = packed_patches(rows.study, rows.cohort, chosen, model)
            laid_out = np.concatenate([_laid_out(matrix, columns, asked.inputs), images], axis=1)
            patients = Patients(laid_out, outcome, None if second is None else second[chosen])
            validated = _validated(rows, split, columns, asked.inputs, model, patients) if INNER in split else ()
            yield _Network(k, name_of(rows, split, asked.model[k]), patients, validated)


def _validated(
    rows: Rows, split: str, columns: tuple[int, ...], inputs: int, model: str, training: "Patients"
) -> "tuple[Patients, ...]":
    """Whose loss is the validation loss: those held out; for survival all, less those trained on.

    A partial likelihood is no sum over patients: that is the cross-validated one of Verweij and van Houwelingen (1993,
    doi:10.1002/sim.4780122407).
    """
    from client.networks.local_training import Patients

    second = second_outcome(rows.study, rows.cohort)
    survival = rows.study.outcome.kind == "survival" or (second is not None and second.shape[1] == 2)
    chosen = rows.members.held_out(split)
    if survival:
        chosen = chosen | rows.members.training(split)
    matrix, outcome = rows.views.matrix(str(rows.query.view), split), rows.cohort.outcome
    laid_out = np.concatenate(
        [_laid_out(matrix[chosen], columns, inputs), packed_patches(rows.study, rows.cohort, chosen, model)],
        axis=1,
    )
    patients = Patients(laid_out, outcome[chosen], None if second is None else second[chosen])
    return (patients, training) if survival else (patients,)


def _laid_out(matrix: np.ndarray, columns: tuple[int, ...], inputs: int) -> np.ndarray:
    """The columns that take part, and zeros up to the width that all networks have."""
    found = np.zeros((len(matrix), inputs))
    found[:, : len(columns)] = matrix[:, list(columns)]
    return found


def _with_own(rows: Rows, settings: Network, name: str, asked: Round, weights: np.ndarray) -> np.ndarray:
    """The weights that were sent, with this hospital's own layers (FedBN's normalisation, a personal head)."""
    if not settings.keeps_own:
        return weights
    own = rows.views.own_state.up_to(name, asked.round - 1)
    if own is None:
        return weights
    mixed = weights.astype(np.float64)
    mixed[_own_places(rows, asked.inputs)] = own
    return mixed


def _own_places(rows: Rows, inputs: int) -> np.ndarray:
    from common.networks.build import own_layers

    return own_layers(rows.study, inputs)


def _kept(rows: Rows, change: np.ndarray, bound: float) -> float:
    """The share of a change that has at most this norm; HospitalError for one that has exploded."""
    norm = float(np.linalg.norm(change))
    if not norm <= EXPLODED * bound:
        raise HospitalError(
            Code.EXPLODED,
            f"query {rows.query.name!r}: the update's norm is {norm:.3g}, the study's bound {bound:g}: training has "
            "diverged here, and nothing of it is sent. Take a lower learning_rate, or clip_gradient",
        )
    return min(1.0, bound / norm) if norm > 0 else 1.0


def _refused(found: str) -> HospitalError:
    return HospitalError(Code.BAD_PARAMETERS, f"query 'train_network': {found}")
