"""Which features were chosen and how, as results.json holds it."""

from typing import Any

import numpy as np

from common.splits import FINAL
from common.study import Study
from common.whole_hospitals import EXTERNAL
from server.methods.selection import Selected, Step

SPARSE = ("lasso", "elastic-net")


def selection_of(
    study: Study, selected: Selected, splits: tuple[str, ...], coefficients: np.ndarray
) -> dict[str, Any] | None:
    """The entry `selection`; None where all features take part in the model.

    Parameters
    ----------
    splits
        The outer splits, which come first in every array.
    coefficients
        Of the first model: outer splits × linear predictors × (1 + columns); a sparse penalty leaves zeros.
    """
    if not selected.features.any():
        return None
    sparse = study.model.penalty in SPARSE
    if study.selection is None and selected.screening is None and not sparse:
        return None
    chosen, steps = selected.active[: len(splits)] & selected.features, selected.steps
    if sparse:
        chosen = chosen & (coefficients[:, :, 1:] != 0).any(axis=1)
        steps = (*steps, Step("penalty", chosen.sum(axis=1)))
    own = {split: k for k, split in enumerate(splits) if split != EXTERNAL}  # that one trains on the final rows
    training = [k for split, k in own.items() if split != FINAL]
    final = chosen[splits.index(FINAL)]
    times = chosen[training].sum(axis=0)
    return {
        "settings": None if study.selection is None else study.selection.model_dump(mode="json"),
        "screening": selected.screening,
        "allowed": {split: int(selected.allowed[k]) for split, k in own.items()},
        "steps": [
            {"step": step.name, "left": {split: int(step.left[k]) for split, k in own.items()}} for step in steps
        ],
        "training_sets": len(training),
        "chosen": {selected.columns[j]: int(times[j]) for j in np.flatnonzero((times > 0) | final)},
        "final": [selected.columns[j] for j in np.flatnonzero(final)],
        "certificates": {
            "auc": selected.auc_certificate,
            "spearman": selected.rho_certificate,
            "undecided": selected.undecided,
        },
    }
