"""Is biology kept? The t statistic of each covariate, or of the outcome, before and after harmonisation.

From the very sums of `harmonization.sums.combat_sums`, with a mean per hospital. The outcome may stand among the
covariates *here*; never in the ones that ComBat preserves.
"""

import numpy as np

from harmonization.arrays import Array, Sums, symmetric
from harmonization.least_squares import residual_squares, solve


def covariate_t(total: Sums, batches: int) -> Array:
    """``t_k = B_k / √(RSS/(N − batches − rank) · (cc⁻¹)_kk)``, q×p; 0 where a covariate cannot be estimated."""
    n, q = float(np.max(total["n"])), total["cy"].shape[0]
    cc = symmetric(total["cc"], q)
    solution = solve(cc, total["cy"])
    left = n - batches - int(solution.rank.max(initial=0))
    if left < 1:
        raise ValueError(f"{int(n)} patients, {batches} batches and {q} covariates leave nothing to judge a t by")
    rss = residual_squares(cc, total["cy"], total["yy"], solution.coefficients)
    variance = np.atleast_2d(solution.inverse_diagonal).T * (rss / left)
    usable = (variance > 0) & ~(solution.empty | solution.tangled).T
    t: Array = np.where(usable, solution.coefficients / np.sqrt(np.where(usable, variance, 1.0)), 0.0)
    return t


def kept(before: Array, after: Array, threshold: float = 2.0) -> float:
    """Mean |t| after over mean |t| before, where |t| ≥ threshold before; 1 where it is nowhere."""
    strong = np.abs(before) >= threshold
    if not strong.any():
        return 1.0
    return float(np.abs(after)[strong].mean() / np.abs(before)[strong].mean())
