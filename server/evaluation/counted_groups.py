"""Cells that hold five patients and more by counts that look at no outcome: hospitals answer about no others.

Bins of a training set are merged until each holds five of its rows; of groups that cut-offs of each
patient's own fold make, labels are named in which one holds one to four. Rounds: one each. What leaves: numbers of
patients (client/queries/counts_of_cells.py), as masked totals, which are handed round to the hospitals.
"""

from collections.abc import Sequence

import numpy as np

from common.query import SMALLEST_CELL
from common.splits import Label, splits_of_scheme
from server.federation import Federation

WHOLE = 1.0


def enough_in_training(
    federation: Federation, view: str, splits: Sequence[str], models: Sequence[str], edges: np.ndarray
) -> np.ndarray:
    """Edges of models × splits, from those of every model (models × edges) without what leaves a bin too small."""
    sums = federation.ask(
        "training_counts", view=view, splits=splits, parameters={"schemes": list(models)}, arrays={"edges": edges}
    ).sums
    kept = [
        _merged(edges[m], sums["below"][k, m], float(sums["patients"][k]))
        for m in range(len(models))
        for k in range(len(splits))
    ]
    return one_width(kept).reshape(len(models), len(splits), -1)


def too_small(
    federation: Federation, view: str, labels: Sequence[str], splits: Sequence[str], cuts: np.ndarray
) -> list[str]:
    """The labels in which a group holds one to four patients, by cuts of labels × splits × cuts."""
    used = {split for label in labels for split in splits_of_scheme(Label.read(label).scheme, splits)}
    fits = [split for split in splits if split in used]  # naming another one may unseal external patients
    patients = federation.ask(
        "group_counts",
        view=view,
        rows="held_out",
        parameters={"schemes": list(labels), "fits": fits},
        arrays={"cuts": cuts[:, [splits.index(split) for split in fits]]},
    ).sums["patients"]
    small = ((patients > 0) & (patients < SMALLEST_CELL)).any(axis=1)
    return [label for label, few in zip(labels, small, strict=True) if few]


def one_width(edges: Sequence[np.ndarray]) -> np.ndarray:
    """Lists of edges as one array, filled up to one length with 1, above which no risk lies."""
    width = max(1, *(len(e) for e in edges), 1)
    return np.array([np.concatenate([e, np.full(width - len(e), WHOLE)]) for e in edges])


def _merged(edges: np.ndarray, below: np.ndarray, patients: float) -> np.ndarray:
    """The edges that stay, by how many of the patients lie at or below each."""
    kept, reached = list[float](), 0.0
    for edge, under in zip(edges, below, strict=True):
        if min(under - reached, patients - under) >= SMALLEST_CELL:
            kept.append(float(edge))
            reached = float(under)
    return np.array(kept)
