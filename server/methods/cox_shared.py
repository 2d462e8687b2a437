"""Cox regression with one baseline for all hospitals, on a grid of times: mirrored by client/queries/cox_shared.py.

Maximises the partial log-likelihood of all patients together (η = xᵀβ, ties by Efron's rule) after every time was
moved to the end of its cell. Cells are of thirty days, merged until thirty patients and more leave in each: the risk
sets of two neighbouring cells differ by those patients' sums, and a difference over one patient would be its row.
Rounds: one for the counts, then two exchanges an iteration (WebDISCO, Lu and others 2015): risk sets S0 and S1 at every
cell; then Xᵀdiag(w)X, w a patient's risk times the hazard until its time. What leaves: those, as masked totals. Exact
for times on the grid: within 1e-8 of lifelines' pooled fit to them (tests/server/test_cox.py). What coarse times cost:
at most 0.6 standard errors of a coefficient with 213 patients in seven cells. A hospital with more or fewer events than
its patients' columns tell pulls at the coefficients; with a baseline a hospital (server/methods/cox.py) it does not.
"""

from collections.abc import Sequence

import numpy as np

from common.query import SMALLEST_ROW_SET
from server.federation import Federation
from server.methods.family import Family, Question, unpack_triangle
from server.methods.newton import Sums

CELLS = 1220

Ends = dict[str, list[int]]


def shared_baseline(federation: Federation, view: str, splits: Sequence[str]) -> Family:
    """The family, with the cells of every split settled by one exchange."""
    named = list(dict.fromkeys(splits))
    leaving = federation.ask("cox_cells", view=view, splits=named, parameters={"cells": CELLS}).sums["leaving"]
    events = {split: counts[0] for split, counts in zip(named, leaving, strict=True)}
    ends = {split: merged(counts.sum(axis=0)) for split, counts in zip(named, leaving, strict=True)}

    def ask(_: Family, question: Question) -> Sums:
        return _ask(ends, events, question)

    return Family("cox_risk_sets", start=np.zeros(0), null=lambda _, __: np.zeros(0), ask=ask)


def merged(leaving: np.ndarray) -> list[int]:
    """The ends of cells, in thirty days, with enough patients in each; what is left over goes to the last."""
    ends, held = [], 0.0
    for cell, count in enumerate(leaving, start=1):
        held += count
        if held >= SMALLEST_ROW_SET:
            ends.append(cell)
            held = 0.0
    return [*ends[:-1], len(leaving)] if ends else [len(leaving)]


def _ask(ends: Ends, events: dict[str, np.ndarray], question: Question) -> Sums:
    splits, parameters, arrays = question.named()
    parameters["ends"] = [ends[split] for split in splits]
    packed = question.federation.ask(
        "cox_risk_sets", view=question.view, splits=splits, parameters=parameters, arrays=arrays
    ).sums["risk_sets"]
    sizes = [(2 * len(ends[p.split]) + 1) * (1 + len(p.columns)) for p in question.problems]
    values, gradients, means, hazards, spared = [], [], [], [], []
    for problem, part in zip(question.problems, np.split(packed, np.cumsum(sizes)[:-1]), strict=True):
        bounds = np.array([0, *ends[problem.split]])
        tied = np.add.reduceat(events[problem.split], bounds[:-1])
        value, gradient, mean, hazard, own = _efron(part, tied.round().astype(int), len(problem.columns))
        values.append(value)
        gradients.append(gradient)
        means.append(mean)
        hazards.append(hazard)
        spared.append(own)
    hessians: list[np.ndarray] = [np.zeros((0, 0))] * len(question.problems)
    curved = sorted(question.curved)
    if curved:
        chosen = Question(
            question.federation,
            question.view,
            [question.problems[k] for k in curved],
            [question.beta[k] for k in curved],
            (),
        )
        squares = _squares(ends, chosen, [hazards[k] for k in curved], [spared[k] for k in curved])
        for k, square in zip(curved, squares, strict=True):
            hessians[k] = square - means[k].T @ means[k]
    return np.array(values), gradients, hessians


def _efron(
    part: np.ndarray, tied: np.ndarray, columns: int
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log-likelihood, gradient, the mean columns of every event's risk set, and the hazard of every cell."""
    cells = len(tied)
    leaving, own = part[: 2 * cells * (1 + columns)].reshape(2, cells, 1 + columns)
    linear, covariates = part[2 * cells * (1 + columns)], part[2 * cells * (1 + columns) + 1 :]
    at_risk = np.cumsum(leaving[::-1], axis=0)[::-1]
    at = np.repeat(np.arange(cells), tied)
    share = (np.arange(len(at)) - np.repeat(np.cumsum(tied) - tied, tied)) / tied[at]
    left = at_risk[at] - share[:, None] * own[at]
    mean = left[:, 1:] / left[:, :1]
    hazard = np.bincount(at, weights=1.0 / left[:, 0], minlength=cells)
    spared = np.bincount(at, weights=share / left[:, 0], minlength=cells)
    return float(linear - np.log(left[:, 0]).sum()), covariates - mean.sum(axis=0), mean, hazard, spared


def _squares(
    ends: Ends, question: Question, hazards: list[np.ndarray], spared: list[np.ndarray]
) -> list[np.ndarray]:
    """Xᵀdiag(w)X of every problem."""
    splits, parameters, arrays = question.named()
    parameters["ends"] = [ends[split] for split in splits]
    width = max(len(ends[split]) for split in splits)
    for name, rows in (("hazard", hazards), ("spared", spared)):
        arrays[name] = np.array([np.pad(row, (0, width - len(row))) for row in rows])
    packed = question.federation.ask(
        "cox_curvature", view=question.view, splits=splits, parameters=parameters, arrays=arrays
    ).sums["hessian"]
    lengths = [len(problem.columns) for problem in question.problems]
    parts = np.split(packed, np.cumsum([n * (n + 1) // 2 for n in lengths])[:-1])
    return [unpack_triangle(part[None], n)[0] for part, n in zip(parts, lengths, strict=True)]
