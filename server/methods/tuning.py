"""How strong the penalty is to be, chosen within every training set: mirrored by client/queries/tuning.py.

For every training set and model a grid of λ, from the one that leaves no column down to a thousandth of it. Every λ is
fitted in each inner fold, all of them together (server/methods/path.py), with the pipeline and the choice of columns of
that fold; the λ with the highest likelihood of the patients held out wins (the strongest among equals). Rounds: two
for the grid, those of a path, and one. What leaves besides the fits: one number for each training set, model and λ.
"""

from collections.abc import Sequence

import numpy as np

from common.study import Study
from server.federation import Federation
from server.methods.family import Problem, Question
from server.methods.path import grid, path, without_slopes
from server.methods.pipeline import Prepared

SMALLEST_SHARE = 1e-3
CLOSE_ENOUGH = 1e-4
"""To compare strengths; the model itself is fitted exactly."""
MOST_ROUNDS = 10


def tune(
    federation: Federation,
    study: Study,
    prepared: Prepared,
    problems: Sequence[Problem],
    inner: Sequence[Sequence[Problem]],
) -> np.ndarray:
    """λ of every problem.

    Parameters
    ----------
    inner
        For every problem the same model in the inner folds of its split.
    """
    folds = len(inner[0])
    every = [problem for own in inner for problem in own]
    null = without_slopes(federation, study, prepared.view, [*problems, *every])
    strengths = grid(null.largest[: len(problems)], study.model.strengths, SMALLEST_SHARE)
    grids = np.repeat(strengths, folds, axis=0)
    found = path(
        federation,
        study,
        prepared.view,
        every,
        grids,
        len(prepared.columns),
        null.some(slice(len(problems), None)),
        CLOSE_ENOUGH,
        MOST_ROUNDS,
    )
    asked = [problem for problem in every for _ in range(strengths.shape[1])]
    beta = found.short.reshape(-1, found.short.shape[-1])
    splits, parameters, arrays = Question(federation, prepared.view, asked, list(beta), ()).named()
    number = strengths.shape[1]
    parameters["criterion"] = [
        k * number + j for k in range(len(problems)) for _ in range(folds) for j in range(number)
    ]
    held_out = federation.ask(
        "tuning", view=prepared.view, splits=splits, parameters=parameters, arrays=arrays
    ).sums["likelihood"]
    best = held_out.reshape(len(problems), number).argmax(axis=1)
    chosen: np.ndarray = strengths[np.arange(len(problems)), best]
    return chosen
