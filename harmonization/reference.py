"""M-ComBat: every batch is brought to the mean and variance of one reference batch. A second round.

The reference hospital alone answers with its sums and all others with zeros, so the total *is* the reference's
own mean and variance: a *single hospital* query.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from harmonization.arrays import Sums, as_rows
from harmonization.fit import NEARLY_CONSTANT
from harmonization.parameters import CombatParameters
from harmonization.sums import centre_finite


def reference_sums(covariates: ArrayLike | None, features: ArrayLike, parameters: CombatParameters) -> Sums:
    """The reference batch's ``n``, ``r`` = Σ r and ``rr`` = Σ (r − r̄)², with r = y − grand − c·B; each (p,)."""
    c, y = as_rows(covariates, features)
    usable = np.isfinite(c).all(axis=1)
    residual = y[usable] - parameters.grand_mean - c[usable] @ parameters.coefficients
    centred, n = centre_finite(residual)
    total = np.where(np.isfinite(residual), residual, 0.0).sum(axis=0)
    return {"n": n, "r": total, "rr": np.einsum("ij,ij->j", centred, centred)}


def no_reference_sums(parameters: CombatParameters) -> Sums:
    """What every other hospital answers: zeros of the same shape."""
    p = len(parameters.grand_mean)
    return {"n": np.zeros(p), "r": np.zeros(p), "rr": np.zeros(p)}


def fit_reference(parameters: CombatParameters, total: Sums, reference: str) -> CombatParameters:
    """``grand ← grand + r̄`` and ``σ² ← Σ(r − r̄)²/n`` of the reference; B stays the pooled one."""
    n = np.maximum(total["n"], 1.0)
    grand = parameters.grand_mean + total["r"] / n
    variance = total["rr"] / n
    flat = variance <= np.maximum((NEARLY_CONSTANT * np.abs(grand)) ** 2, NEARLY_CONSTANT**2 * parameters.variance)
    findings = list(parameters.findings)
    newly = int((flat & ~parameters.constant).sum())
    if newly:
        findings.append(f"{newly} feature(s) constant at the reference {reference}, passed through")
    return replace(
        parameters,
        grand_mean=grand,
        variance=variance,
        constant=parameters.constant | flat,
        reference=reference,
        findings=tuple(findings),
    )
