"""What held-out patients say of harmonisation, as results.json holds it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harmonization.hospital_effect import HospitalEffect
from server.evaluation.harmonisation import Judged
from server.evaluation.hospital_effect import Classifier, Effects, Found

LEVEL = 0.05
EDGES = (-0.05, 0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
"""Edges of the histograms over features of ω²; the lowest bin holds everything below, the highest all above."""


def judged_of(judged: Judged | None) -> dict[str, Any] | None:
    """The entry `harmonisation`; None where the study does not harmonise."""
    if judged is None:
        return None
    found = judged.found
    if found is None or judged.advice is None:
        return {"advice": {"verdict": "not judged", "sentence": judged.sentence}}
    return {
        "advice": {"verdict": judged.advice.verdict, "sentence": judged.sentence},
        "folds": judged.folds,
        "patients": judged.patients,
        "adjusted_for": list(judged.adjusted_for),
        "before": _side(found.before, judged),
        "after": _side(found.after, judged),
        "biology_kept": judged.kept,
        "covariates_only": _classifier(found.covariates_only) if found.covariates_only else None,
        "retest": _retest(found),
        "features": {name: _feature(found, judged, j) for j, name in enumerate(judged.features)},
    }


def _side(side: Effects, judged: Judged) -> dict[str, Any]:
    """One side: shares of features, variance explained, the classifier, and t by covariate."""
    t = np.abs(side.t)
    return {
        "location": _effect(side.location),
        "spread": _effect(side.spread),
        "location_with_scanner": _effect(side.scanner) if side.scanner else None,
        "kruskal": {"share": float(np.mean([np.mean(ranks.p_value < LEVEL) for ranks in side.ranks]))},
        "classifier": _classifier(side.classifier),
        "biology": {name: float(t[k].mean()) for k, name in enumerate(judged.covariates)},
    }


def _effect(folds: Sequence[HospitalEffect]) -> dict[str, Any]:
    """Means over folds; the histogram is over features."""
    omega = _mean([effect.omega_squared for effect in folds])
    inner = np.clip(omega, EDGES[0], np.nextafter(EDGES[-1], 0.0))
    return {
        "share": float(np.mean([effect.share(LEVEL) for effect in folds])),
        "omega_squared": float(omega.mean()),
        "eta_squared": float(_mean([effect.eta_squared for effect in folds]).mean()),
        "histogram": {"edges": list(EDGES), "features": np.histogram(inner, EDGES)[0].tolist()},
    }


def _mean(folds: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over folds, feature by feature."""
    mean: np.ndarray = np.mean(folds, axis=0)
    return mean


def _classifier(found: Classifier) -> dict[str, Any]:
    return {
        "auc": found.auc,
        "by_chance": found.null_mean,
        "by_chance_high": found.null_high,
        "columns": found.columns,
    }


def _retest(found: Found) -> dict[str, Any] | None:
    """Lin's CCC, mean over features."""
    pairs = found.pairs
    if pairs is None:
        return None
    return {
        "pairs": pairs.patients,
        "hospitals": pairs.hospitals,
        "before": float(pairs.before.mean()),
        "after": float(pairs.after.mean()),
    }


def _feature(found: Found, judged: Judged, j: int) -> dict[str, Any]:
    """One feature: [before, after] of each figure, means over folds."""
    sides = (found.before, found.after)
    entry: dict[str, Any] = {
        "location": [float(np.mean([e.omega_squared[j] for e in side.location])) for side in sides],
        "spread": [float(np.mean([e.omega_squared[j] for e in side.spread])) for side in sides],
        "kruskal": [float(np.mean([ranks.h[j] for ranks in side.ranks])) for side in sides],
        "t": {name: [float(side.t[k, j]) for side in sides] for k, name in enumerate(judged.covariates)},
    }
    if found.pairs is not None:
        entry["concordance"] = [float(found.pairs.before[j]), float(found.pairs.after[j])]
    return entry
