"""How well penalised fits of inner folds explain patients they did not see: mirrored by server/methods/tuning.py."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from pydantic import StrictInt, model_validator

from client.queries import cox, logistic, multinomial, ordinal
from client.queries.problems import Coefficients, Contribution, One
from client.queries.registry import query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer
from common.splits import INNER

Family = tuple[Callable[[Rows, int], int], Callable[[Rows, One], Contribution]]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "logistic": (lambda _, columns: logistic.length(columns), logistic.contribution),
        "multinomial": (lambda rows, columns: multinomial.length(rows, columns), multinomial.contribution),
        "ordinal": (lambda rows, columns: ordinal.length(rows, columns), ordinal.contribution),
        "cox": (lambda _, columns: cox.length(columns), cox.contribution),
    }
)


class Tuning(Coefficients):
    """Fits of inner splits, and the number of the sum that each adds to: one for a training set and strength."""

    criterion: tuple[StrictInt, ...]

    @model_validator(mode="after")
    def _a_sum_each(self) -> "Tuning":
        if len(self.criterion) != len(self.of) or set(self.criterion) != set(range(max(self.criterion) + 1)):
            raise ValueError("criterion: a number for every problem, from 0, none left out")
        return self


@query(
    "tuning",
    Tuning,
    leaves="For each training set and strength of the penalty: one number, the log-likelihood of patients held out of "
    "its inner folds.",
)
def tuning(rows: Rows, parameters: Tuning) -> Answer:
    """Σ over inner folds of ℓ(training rows) − ℓ(training rows without the fold), at the fold's own coefficients.

    Where a likelihood is a sum over patients that is the held-out one; for Cox it is the cross-validated partial
    likelihood (Verweij and van Houwelingen 1993, doi:10.1002/sim.4780122407).
    """
    _each_fold_once(rows, parameters)
    length, contribution = FAMILIES[rows.study.model.kind]
    found = np.zeros(max(parameters.criterion) + 1)
    for k, (of, columns, beta) in enumerate(zip(parameters.of, parameters.columns, parameters.beta, strict=True)):
        split = rows.query.splits[of]
        if INNER not in split:
            raise HospitalError(
                Code.BAD_PARAMETERS, f"query 'tuning': {split!r} is no split within a training set"
            )
        own = length(rows, len(columns))
        if len(beta) < own or beta[own:].any():
            raise HospitalError(Code.BAD_PARAMETERS, f"query 'tuning': problem {k} has {own} coefficients")
        matrix = rows.views.matrix(str(rows.query.view), split)[: len(rows.cohort.ids), list(columns)]
        outer, known = rows.members.training(split.partition(INNER)[0]), rows.known(split)
        for training, sign in ((outer, 1.0), (rows.members.training(split), -1.0)):
            if known is None:
                one = One(matrix[training], rows.cohort.outcome[training], beta[:own], False)
            else:
                chosen = training & known.there
                one = One(matrix[chosen], known.outcome[chosen], beta[:own], False, known.weight[chosen])
            found[parameters.criterion[k]] += sign * contribution(rows, one)[0]
    return Answer(sums={"likelihood": found})


def _each_fold_once(rows: Rows, asked: Tuning) -> None:
    """A sum is over all inner folds of one training set, each once: never over what one fold holds out."""
    folds: dict[int, list[str]] = {}
    for of, criterion in zip(asked.of, asked.criterion, strict=True):
        folds.setdefault(criterion, []).append(rows.query.splits[of])
    number = rows.study.inner_folds()
    for splits in folds.values():
        outer = splits[0].partition(INNER)[0]
        if sorted(splits) != sorted(f"{outer}{INNER}{fold}" for fold in range(number)):
            raise HospitalError(
                Code.BAD_PARAMETERS,
                f"query 'tuning': a sum is over the {number} inner folds of a split, each once",
            )
