"""Logistic regression by a few noisy gradient steps: mirrored by client/queries/private_gradient.py.

Maximises Σ [yη − log(1 + e^η)] − ½λ‖β‖² over rows x̃ = (1, z) shortened to length C: β ← β + (g + noise − λβ)/(κ + λ)
(the intercept without λ), with the curvature κ first max(1, C²/3)·n/4 and then what the last step showed (Barzilai and
Borwein 1988), between n/8 and nC²/4. A matrix of second derivatives would cost more of the budget than it brings: it
was tried, and lost 0.02 of AUC. Rounds: `iterations`, all folds together. What leaves: the gradient (1 + columns) a
fold, with noise of L2 sensitivity C. Not exact: that is the point.
"""

import numpy as np

from common.privacy_plan import clip_of
from common.splits import FINAL
from common.study import Study
from server.federation import Federation
from server.methods.private_pipeline import PrivatelyPrepared, noise_parameter

LARGEST_COEFFICIENT = 10.0
"""On standardised columns; beyond it there is noise alone."""


def fit_privately(
    federation: Federation, study: Study, prepared: PrivatelyPrepared, patients: int, noise: bool
) -> np.ndarray:
    """Coefficients on standardised columns, splits × (1 + columns)."""
    splits, width = federation.splits, 1 + len(prepared.columns)
    clip = clip_of(study, len(prepared.columns))
    strength = 0.0 if study.model.penalty == "none" else float(study.model.strength)
    penalty = np.full(width, strength)
    penalty[0] = 0.0
    trained = np.array([patients_of(study, split, patients) for split in splits])
    curvature = np.maximum(1.0, clip**2 / 3) * trained / 4
    beta, last = np.zeros((len(splits), width)), None
    private = study.privacy.differential
    for _ in range(private.iterations if private is not None else 0):
        total = federation.ask(
            "private_gradient",
            view=prepared.view,
            splits=splits,
            parameters=noise_parameter(noise),
            arrays={"beta": beta},
        )
        ascent = total.sums["gradient"] - penalty * beta
        if last is not None:
            step = beta - last[0]
            shown = ((last[1] - ascent) * step).sum(axis=1) / np.maximum((step**2).sum(axis=1), 1e-300)
            curvature = np.clip(shown - strength, trained / 8, trained * clip**2 / 4)
        last = beta, ascent
        beta = np.clip(beta + ascent / (curvature[:, None] + penalty), -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT)
    return beta


def patients_of(study: Study, split: str, patients: int) -> float:
    """About how many patients a split trains on; public, since folds are dealt evenly."""
    folds = study.validation.folds
    return float(patients) if split == FINAL or not folds else patients * (folds - 1) / folds
