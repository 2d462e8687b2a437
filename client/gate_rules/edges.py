"""Edges of bins: not so many, and not so close, that a bin could be drawn round one patient.

How many patients of all hospitals lie between two edges no hospital knows before it is asked. What each can hold is
how many edges there are, over all questions of a study, how close they come beside its own spread, and that bins which
look at the outcome take edges that were asked before without it and hold enough patients by those counts
(counted_cells.py).
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.special import expit

from client.gate_rules.counted_cells import WHOLE, by_scheme, check_counted_cells
from client.gate_rules.memory import Earlier
from client.gate_rules.survival_cells import check_cells_of_time
from client.rows import Rows
from common.counting import COUNTED_BY
from common.dimension import times_allowed
from common.errors import Code, HospitalError
from common.query import SMALLEST_CELL, SMALLEST_DIFFERENCE
from common.room import Room
from common.splits import APPARENT, Label

FEWEST_ALLOWED = 16
"""Four edges and three for each of four narrowings: three quantiles of any column take no more."""
CLOSEST = 1e-3
"""Of this hospital's own standard deviation, shared out among all patients."""
COUNTED_BEFORE = frozenset(name for name, counting in COUNTED_BY.items() if "score_counts" in counting)


def check_edges(rows: Rows, earlier: list[Earlier], room: Room) -> None:
    """Refuse edges that are too many, too close, or new where the outcome is looked at."""
    check_cells_of_time(rows, room)
    if rows.query.name in (*COUNTED_BEFORE, "training_counts"):
        _check_fixed(rows, earlier, room)
    elif rows.query.name == "threshold_classes":
        _check_cuts(rows, earlier)
    elif rows.query.name in ("column_counts", "score_counts", "training_risk"):
        for place, values, edges in _edges(rows, earlier):
            scheme = APPARENT if rows.query.splits else Label.read(place).scheme
            _check(rows, place, values, edges, room.judged(rows.study, scheme))
    check_counted_cells(rows, earlier)


def _check(rows: Rows, place: str, values: np.ndarray, edges: np.ndarray, room: Room) -> None:
    allowed = max(FEWEST_ALLOWED, times_allowed(room.patients))
    if len(edges) > allowed:
        raise _refused(rows, f"{len(edges)} edges for {place}, at most {allowed} are allowed in a study")
    closest = CLOSEST * float(np.nanstd(values)) / room.patients if len(values) else 0.0
    if len(edges) > 1 and np.diff(edges).min() < closest:
        raise _refused(rows, f"two edges for {place} are {np.diff(edges).min():.3g} apart, at least {closest:.3g}")


def _edges(rows: Rows, earlier: list[Earlier]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Where, this hospital's own values there, and all edges that were and would be asked."""
    query = rows.query
    if query.name == "column_counts":
        before = [dict(zip(asked.splits, asked.arrays["edges"], strict=True)) for asked in earlier]
        for k, (split, chosen) in enumerate(rows.chosen()):
            matrix = rows.views.matrix(str(query.view), split)[chosen]
            for j in range(matrix.shape[1]):
                asked = [query.arrays["edges"][k, j], *(old[split][j] for old in before if split in old)]
                yield f"column {j} in {split}", matrix[:, j], np.unique(np.concatenate(asked))
        return
    if query.name == "training_risk":
        model = str(query.parameters.get("model", ""))
        same = [old for old in earlier if old.name == query.name and old.parameters.get("model", "") == model]
        before = [dict(zip(old.splits, old.arrays["edges"], strict=True)) for old in same]
        for k, (split, chosen) in enumerate(rows.chosen()):
            asked = [query.arrays["edges"][k], *(old[split] for old in before if split in old)]
            score = expit(rows.linear_predictors(split, model)[chosen, 0])
            yield f"the score in {split}", score, np.unique(np.concatenate(asked))
        return
    for scheme, edges in by_scheme(query.parameters, query.arrays["edges"]).items():
        score, _ = rows.probabilities(scheme)
        asked = [edges, *(by_scheme(old.parameters, old.arrays["edges"]).get(scheme, edges) for old in earlier)]
        yield scheme, score, np.unique(np.concatenate(asked))


def _check_fixed(rows: Rows, earlier: list[Earlier], room: Room) -> None:
    counted = [asked for asked in earlier if asked.name == "score_counts" and asked.view == rows.query.view]
    asked = [rows.query.arrays[name] for name in ("edges", "horizon_edges") if name in rows.query.arrays]
    for scheme, edges in (pair for array in asked for pair in by_scheme(rows.query.parameters, array).items()):
        there = room.judged(rows.study, Label.read(scheme).scheme)
        allowed = max(1, min(there.most_of_smaller_class // SMALLEST_CELL, there.patients // SMALLEST_DIFFERENCE))
        rows.probabilities(scheme)  # a view that is no model is refused for that
        new = [by_scheme(asked.parameters, asked.arrays["edges"]).get(scheme) for asked in counted]
        known = np.concatenate([[WHOLE], *(e for e in new if e is not None)])
        bins = np.unique(edges[edges < WHOLE])
        if not np.isin(bins, known).all():
            raise _refused(rows, f"{scheme}: edges that were not asked before without the outcome")
        if len(bins) + 1 > allowed:
            raise _refused(
                rows, f"{scheme}: {len(bins) + 1} bins, at most {allowed} (five of the smaller class in each)"
            )


def _check_cuts(rows: Rows, earlier: list[Earlier]) -> None:
    """A threshold is an edge of the training rows' bins of its model: patients are not sorted by any other."""
    counted = [asked for asked in earlier if asked.name == "training_classes" and asked.view == rows.query.view]
    for label, cuts in by_scheme(rows.query.parameters, rows.query.arrays["cuts"]).items():
        model = str(replace(Label.read(label), scheme=APPARENT))
        known = [by_scheme(asked.parameters, asked.arrays["edges"]).get(model) for asked in counted]
        if not np.isin(cuts, np.concatenate([[WHOLE], *(e.ravel() for e in known if e is not None)])).all():
            raise _refused(rows, f"{label}: a threshold that is no edge of the bins of its training rows")


def _refused(rows: Rows, found: str) -> HospitalError:
    return HospitalError(Code.CLOSE_EDGES, f"query {rows.query.name!r}: {found}")
