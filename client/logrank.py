"""Observed minus expected events by group, exactly, among a hospital's own patients: the log-rank test's parts."""

import numpy as np


def logrank_parts(
    time: np.ndarray, event: np.ndarray, group: np.ndarray, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """U = Σ (d_g − d n_g/n) for all groups but the last, and its hypergeometric covariance V (Mantel 1966)."""
    observed, covariance = np.zeros(groups), np.zeros((groups, groups))
    for t in np.unique(time[event == 1]):
        there = time >= t
        now = (time == t) & (event == 1)
        at_risk = np.bincount(group[there], minlength=groups).astype(np.float64)
        n, d = float(there.sum()), float(now.sum())
        share = at_risk / n
        observed += np.bincount(group[now], minlength=groups) - d * share
        if n > 1:
            covariance += d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
    return observed[:-1], covariance[:-1, :-1]
