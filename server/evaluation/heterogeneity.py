"""How much hospitals' own figures differ: a random-effects meta-analysis of what they disclosed; nothing is asked.

With θ_h = logit of hospital h's AUC (or C), its error s_h = error/(AUC(1 − AUC)) and weights w_h = 1/(s_h² + τ²):
τ² solves Σ w_h (θ_h − θ̂)² = k − 1 (Paule and Mandel 1982, doi:10.6028/jres.087.022), 0 where the left side is smaller
at τ² = 0; θ̂ = Σ wθ / Σ w; its error by Hartung and Knapp (2001, doi:10.1002/sim.1009),
√(Σ w (θ − θ̂)² / ((k − 1) Σ w)), not taken below 1/√Σ w, with Student's t of k − 1 degrees. I² = max(0, 1 − (k − 1)/Q)
with Cochran's Q at τ² = 0 (Higgins and Thompson 2002, doi:10.1002/sim.1186). A new hospital's AUC lies within
θ̂ ± t_{k−2} √(τ² + error²) with 95 % probability (Higgins 2009, doi:10.1111/j.1467-985X.2008.00552.x).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import chi2, t

FEWEST = 3
"""Two hospitals leave no degree of freedom for a prediction."""


@dataclass(frozen=True)
class Heterogeneity:
    """Hospitals' figures together; mean and intervals are back on the scale of the AUC, τ on that of its logit."""

    hospitals: int
    left_out: tuple[str, ...]
    mean: float
    low: float
    high: float
    predicted_low: float
    predicted_high: float
    tau: float
    i_squared: float
    q: float
    p: float


def heterogeneity(figures: Mapping[str, tuple[float, float]]) -> Heterogeneity | None:
    """How hospitals' AUCs or C-indices differ; None where fewer than three can be used.

    Parameters
    ----------
    figures
        By hospital the figure and its standard error. A figure of 0 or 1, or an error that was rounded to 0, has no
        place on the logit scale: that hospital is left out, and named.
    """
    usable = {name: pair for name, pair in figures.items() if 0 < pair[0] < 1 and pair[1] > 0}
    if len(usable) < FEWEST:
        return None
    value, error = np.array(list(usable.values())).T
    theta, squared = logit(value), (error / (value * (1 - value))) ** 2
    k = len(theta)
    tau_squared = paule_mandel(theta, squared)
    weight = 1 / (squared + tau_squared)
    mean = float(weight @ theta / weight.sum())
    spread = float(weight @ (theta - mean) ** 2) / (k - 1)
    standard_error = float(np.sqrt(max(spread, 1.0) / weight.sum()))
    q = _excess(0.0, theta, squared) + k - 1
    margin = t.ppf(0.975, k - 1) * standard_error
    beyond = t.ppf(0.975, k - 2) * np.sqrt(tau_squared + standard_error**2)
    return Heterogeneity(
        hospitals=k,
        left_out=tuple(sorted(set(figures) - set(usable))),
        mean=float(expit(mean)),
        low=float(expit(mean - margin)),
        high=float(expit(mean + margin)),
        predicted_low=float(expit(mean - beyond)),
        predicted_high=float(expit(mean + beyond)),
        tau=float(np.sqrt(tau_squared)),
        i_squared=max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0,
        q=q,
        p=float(chi2.sf(q, k - 1)),
    )


def paule_mandel(theta: np.ndarray, squared: np.ndarray) -> float:
    """The variance between hospitals at which the weighted spread is what it should be."""
    if _excess(0.0, theta, squared) <= 0:
        return 0.0
    high = float(np.ptp(theta) ** 2 + squared.max())
    while _excess(high, theta, squared) > 0:
        high *= 2
    return float(brentq(_excess, 0.0, high, args=(theta, squared), xtol=1e-12, rtol=1e-12))


def _excess(tau_squared: float, theta: np.ndarray, squared: np.ndarray) -> float:
    weight = 1 / (squared + tau_squared)
    mean = weight @ theta / weight.sum()
    return float(weight @ (theta - mean) ** 2) - (len(theta) - 1)
