"""Cut-offs between risk groups, from training patients alone: mirrored by client/queries/survival_risk.py.

The median or the tertiles of each split's training scores, narrowed by counts to intervals of ten to nineteen patients
and linear within. Rounds: at most 4 a model. What leaves: how many scores lie at or below each edge, as masked totals.
"""

from collections.abc import Sequence

import numpy as np

from server.federation import Federation
from server.methods.quantiles import Counted, pad

ROUNDS = 4
EIGHTHS = np.linspace(0, 1, 9)[1:-1]


def cut_offs(federation: Federation, view: str, splits: Sequence[str], model: str, groups: int) -> np.ndarray:
    """Of 1/(1 + e^−η), ascending: splits × (groups − 1)."""
    nothing = np.array([])
    shares = np.arange(1, groups) / groups
    counted = [Counted(nothing, nothing, 0.0, 0.0, 1.0) for _ in splits]
    proposed = [EIGHTHS for _ in splits]
    for _ in range(ROUNDS):
        sums = federation.ask(
            "training_risk",
            view=view,
            splits=splits,
            parameters={"model": model},
            arrays={"edges": pad(proposed, counted)},
        ).sums
        for k, new in enumerate(proposed):
            counted[k] = counted[k].with_counts(new, sums["below"][k, : len(new)], float(sums["patients"][k]))
        proposed = [c.narrower(shares * c.total) for c in counted]
        if not any(len(new) for new in proposed):
            break
    return np.array([[c.at(share * c.total) for share in shares] for c in counted])
