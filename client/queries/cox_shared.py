"""Fits of Cox regression with one baseline for all hospitals: mirrored by server/methods/cox_shared.py.

A baseline in common needs the risk sets of all hospitals together, time by time. Times leave as cells of a grid only:
multiples of 30 days, of which the coordinator merges neighbours until thirty patients leave in each. At a cell's end
its events count as tied.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from pydantic import Field, StrictInt, ValidationInfo, field_validator, model_validator

from client.queries.problems import Coefficients, One, Problems, each
from client.queries.registry import Parameters, bounded_array, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer

DAYS_A_CELL = 30
MOST_CELLS = 1220
"""A hundred years."""
LARGEST_HAZARD = 1e6


class Grid(Parameters):
    """How many cells of thirty days are counted; whoever is followed longer is in the last."""

    cells: int = Field(ge=1, le=MOST_CELLS, strict=True)


@query(
    "cox_cells",
    Grid,
    leaves="Per fold: how many patients have their event, and how many are last seen, in every thirty days.",
)
def cox_cells(rows: Rows, parameters: Grid) -> Answer:
    """Counts of events and of the censored, by cells of thirty days, for every split."""
    counts = []
    for _, chosen in rows.chosen():
        days, event = rows.cohort.outcome[chosen].T
        cell = np.minimum(np.ceil(days / DAYS_A_CELL).astype(np.int64) - 1, parameters.cells - 1).clip(0)
        counts.append([np.bincount(cell[event == e], minlength=parameters.cells) for e in (1, 0)])
    return Answer(sums={"leaving": np.array(counts, dtype=np.float64)})


def _rising(ends: tuple[int, ...]) -> tuple[int, ...]:
    if not 0 < len(ends) <= MOST_CELLS or ends[0] < 1 or any(b <= a for a, b in pairwise(ends)):
        raise ValueError("expected the ends of cells, rising, as numbers of thirty days")
    return ends


class OnGrid(Problems):
    """Problems, and for every split of the query the ends of its merged cells, in thirty days."""

    ends: tuple[tuple[StrictInt, ...], ...]

    @field_validator("ends")
    @classmethod
    def _ends(cls, ends: tuple[tuple[int, ...], ...], info: ValidationInfo) -> tuple[tuple[int, ...], ...]:
        if len(ends) != len(set(info.data.get("of", ()))):
            raise ValueError("expected the ends of cells for every split")
        return tuple(_rising(one) for one in ends)


@query(
    "cox_risk_sets",
    OnGrid,
    leaves="Per fold and set of columns, for each of a few periods: the summed risk and risk-weighted columns of who "
    "leaves in it and of who has the event in it; and the sum over all events of columns and linear predictor.",
)
def cox_risk_sets(rows: Rows, parameters: OnGrid) -> Answer:
    """S0 and S1 of leavers and of events a cell, and Σ over events of η and x, one problem after another."""
    parts: list[np.ndarray] = [np.zeros(0)] * len(parameters.of)
    for k, one, cell in _on_grid(rows, parameters):
        event = one.outcome[:, 1] == 1
        linear = one.matrix @ one.beta
        risk = np.exp(linear)
        rows.refuse_weights_on_few_patients(risk)
        weighted = np.column_stack([risk, one.matrix * risk[:, None]])
        cells = len(parameters.ends[parameters.of[k]])
        sums = np.zeros((2, cells, 1 + one.matrix.shape[1]))
        np.add.at(sums[0], cell, weighted)
        np.add.at(sums[1], cell[event], weighted[event])
        parts[k] = np.concatenate([sums.ravel(), [linear[event].sum()], one.matrix[event].sum(axis=0)])
    return Answer(sums={"risk_sets": np.concatenate(parts)})


class Curvature(Coefficients):
    """Problems, their cells, and the hazard that every cell adds (`hazard`) and spares its own events (`spared`)."""

    ends: tuple[tuple[StrictInt, ...], ...]
    hazard: bounded_array(2, 0.0, LARGEST_HAZARD)  # type: ignore[valid-type]
    spared: bounded_array(2, 0.0, LARGEST_HAZARD)  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _a_row_each(self) -> "Curvature":
        if len(self.ends) != len(set(self.of)):
            raise ValueError("expected the ends of cells for every split")
        shape = (len(self.of), max(len(_rising(one)) for one in self.ends))
        if self.hazard.shape != shape or self.spared.shape != shape:
            raise ValueError(f"expected hazards of the shape {shape}")
        if (self.spared > self.hazard).any():
            raise ValueError("a cell spares its events more than it adds")
        return self


@query(
    "cox_curvature",
    Curvature,
    leaves="Per fold and set of columns: cross-products of the columns, each patient weighted by risk and by the "
    "hazard until the end of its time.",
)
def cox_curvature(rows: Rows, parameters: Curvature) -> Answer:
    """The upper triangle of ΣXᵀdiag(w)X, w = e^η·(hazard up to the patient's cell − what is spared), a problem."""
    parts: list[np.ndarray] = [np.zeros(0)] * len(parameters.of)
    for k, one, cell in _on_grid(rows, parameters):
        gathered = np.cumsum(parameters.hazard[k])[cell]
        gathered -= parameters.spared[k][cell] * (one.outcome[:, 1] == 1)
        weight = np.exp(one.matrix @ one.beta) * gathered
        rows.refuse_weights_on_few_patients(weight)
        square = (one.matrix * weight[:, None]).T @ one.matrix
        parts[k] = square[np.triu_indices(len(square))]
    return Answer(sums={"hessian": np.concatenate(parts)})


def _on_grid(rows: Rows, parameters: OnGrid | Curvature) -> Iterator[tuple[int, One, np.ndarray]]:
    """Every problem, and the cell in which each of its patients leaves."""
    if rows.query.rows != "training":
        raise HospitalError(Code.BAD_PARAMETERS, f"query {rows.query.name!r}: a model is fitted on training rows")
    for k, one in each(rows, parameters, lambda columns: columns):
        ends = DAYS_A_CELL * np.array(parameters.ends[parameters.of[k]])
        yield k, one, np.minimum(np.searchsorted(ends, one.outcome[:, 0], side="left"), len(ends) - 1)
