"""Cells in which an outcome is looked at: five patients of all hospitals are in each, by counts added up here.

A coordinator chooses models fold by fold, and can push the patients of every fold but one out of the way: then few
cells are enough to single patients out. What holds is how many patients are in a cell. The coordinator hands round what
all hospitals counted without the outcome, signed (counts.py), and cells are refused that were not counted so.
Bins of a score are held together with all others that were asked about by outcome: their edges make cells, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from client.gate_rules.memory import Earlier
from client.rows import Rows
from common.counting import COUNTED_BY
from common.errors import Code, HospitalError
from common.query import SMALLEST_CELL
from common.splits import Label, outer_splits_of, splits_of_scheme

WHOLE = 1.0
"""No probability lies above: an edge there makes no bin."""
Below = Mapping[float, float]


def by_scheme(parameters: Mapping[str, object], edges: np.ndarray) -> dict[str, np.ndarray]:
    """Edges by label."""
    schemes = parameters.get("schemes", [])
    return {str(scheme): edges[k] for k, scheme in enumerate(schemes if isinstance(schemes, list | tuple) else [])}


def edges_by_outcome(asked: Any) -> list[tuple[str, np.ndarray]]:
    """Labels and inner edges of a question's bins by outcome; a question of another kind has none."""
    if "score_counts" not in COUNTED_BY.get(asked.name, ()):
        return []
    arrays = [asked.arrays[name] for name in ("edges", "horizon_edges") if name in asked.arrays]
    return [
        (scheme, np.unique(edges[edges < WHOLE]))
        for array in arrays
        for scheme, edges in by_scheme(asked.parameters, array).items()
    ]


def check_counted_cells(rows: Rows, earlier: Sequence[Earlier]) -> None:
    """Refuse cells by outcome that hold one to four patients, or that nobody handed the counts of."""
    counted = {
        name: [asked for asked in earlier if asked.name == name and asked.view == rows.query.view and asked.counts]
        for name in COUNTED_BY.get(rows.query.name, ())
    }
    if "score_counts" in counted:
        _check_scores(rows, earlier, counted["score_counts"])
    if "training_counts" in counted:
        _check_training(rows, counted["training_counts"])
    if "group_counts" in counted:
        _check_groups(rows, counted["group_counts"])


def _check_scores(rows: Rows, earlier: Sequence[Earlier], counted: Sequence[Earlier]) -> None:
    before = [asked for asked in earlier if asked.view == rows.query.view]
    pairs = [pair for asked in (rows.query, *before) for pair in edges_by_outcome(asked)]
    for scheme in {name for name, _ in edges_by_outcome(rows.query)}:
        bins = np.unique(np.concatenate([edges for name, edges in pairs if name == scheme]))
        below: dict[float, float] = {}
        patients = 0.0
        for asked in counted:
            if scheme in (edges := by_scheme(asked.parameters, asked.arrays["edges"])):
                k = list(edges).index(scheme)
                below |= dict(zip(edges[scheme].tolist(), asked.counts["below"][k].tolist(), strict=True))
                patients = float(asked.counts["classes"][k].sum())
        _refuse_small(rows, f"a bin of {scheme}", bins, below, patients)


def _check_training(rows: Rows, counted: Sequence[Earlier]) -> None:
    """Training rows are counted split by split: each is scored by a model of its own."""
    for label, edges in by_scheme(rows.query.parameters, rows.query.arrays["edges"]).items():
        for split, row in zip(rows.query.splits, edges, strict=True):
            below: dict[float, float] = {}
            patients = 0.0
            for asked in counted:
                known = by_scheme(asked.parameters, asked.arrays["edges"])
                if label in known and split in asked.splits:
                    at = asked.splits.index(split)
                    counts = asked.counts["below"][at, list(known).index(label)]
                    below |= dict(zip(known[label].tolist(), counts.tolist(), strict=True))
                    patients = float(asked.counts["patients"][at])
            bins = np.unique(row[row < WHOLE])
            _refuse_small(rows, f"a bin of the training rows of {split} by {label}", bins, below, patients)


def _check_groups(rows: Rows, counted: Sequence[Earlier]) -> None:
    """Groups that cut-offs of each patient's own fold make."""
    for label, cuts in _cuts(rows).items():
        if all((row >= WHOLE).all() for row in cuts.values()):
            continue
        patients = next((found for asked in counted if (found := _counted(asked, label, cuts)) is not None), None)
        if patients is None:
            raise _not_counted(rows, f"the groups of {label} by these cut-offs")
        if ((patients != 0) & (patients < SMALLEST_CELL)).any():
            raise _small(rows, f"a group of {label}", float(patients[patients != 0].min()))


def _cuts(rows: Rows) -> dict[str, dict[str, np.ndarray]]:
    """By label and split the cuts that a question applies to the patients that the split held out."""
    query, outer = rows.query, outer_splits_of(rows.study, rows.query.roster)
    found: dict[str, dict[str, np.ndarray]] = {}
    for k, text in enumerate(query.parameters["schemes"]):
        label = Label.read(text)
        models, fits = (list(query.parameters.get(name, ())) for name in ("models", "fits"))
        if text in query.parameters.get("ungrouped", ()):
            continue
        splits = splits_of_scheme(label.scheme, outer)
        if query.name == "survival_risk":  # a model or split without cut-offs is refused when it is worked out
            cuts = query.arrays["cuts"][models.index(label.model)] if label.model in models else []
            found[text] = {s: cuts[fits.index(s)] for s in splits if s in fits and len(cuts)}
        else:
            found[text] = {s: query.arrays["cuts"][k, [outer.index(s)]] for s in splits}
    return found


def _counted(asked: Earlier, label: str, cuts: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The patients of a label's groups, where these very cuts were counted."""
    schemes, fits = _texts(asked, "schemes"), _texts(asked, "fits")
    if label not in schemes or not set(cuts) <= set(fits):
        return None
    k = schemes.index(label)
    if not all(np.array_equal(asked.arrays["cuts"][k, fits.index(split)], row) for split, row in cuts.items()):
        return None
    patients: np.ndarray = asked.counts["patients"][k]
    return patients


def _texts(asked: Earlier, name: str) -> list[str]:
    listed = asked.parameters.get(name, [])
    return [str(text) for text in listed] if isinstance(listed, Iterable) else []


def _refuse_small(rows: Rows, where: str, bins: np.ndarray, below: Below, patients: float) -> None:
    """Empty bins are refused with the small ones: some count only those of whom the outcome is known."""
    if not len(bins):
        return
    if not set(bins.tolist()) <= set(below):
        raise _not_counted(rows, where)
    cells = np.diff([0.0, *(below[edge] for edge in bins.tolist()), patients])
    if cells.min() < SMALLEST_CELL:
        raise _small(rows, where, float(cells.min()))


def _small(rows: Rows, where: str, patients: float) -> HospitalError:
    return HospitalError(
        Code.CLOSE_EDGES,
        f"query {rows.query.name!r}: {where} holds {patients:g} patients of all hospitals, {SMALLEST_CELL} are needed",
    )


def _not_counted(rows: Rows, where: str) -> HospitalError:
    return HospitalError(
        Code.NUMBERS_NOT_SIGNED,
        f"query {rows.query.name!r}: {where}: the coordinator did not hand round how many patients of all hospitals "
        "are there, as they counted and signed it",
    )
