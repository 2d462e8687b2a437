"""A batch's location and scale, shrunk towards their mean over features: Johnson, Li & Rabinovic (2007).

All of it happens at the hospital; γ and δ of a hospital never leave.
doi:10.1093/biostatistics/kxj037
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmonization.arrays import Array
from harmonization.parameters import NOT_HARMONISED, CombatSettings

CONVERGENCE = 1e-4
"""Relative change at which neuroCombat and neuroHarmonize stop; kept, and judged over all features of a
group as they do, so that the answers are equal to rounding."""

TINY_VARIANCE = 1e-12
"""A batch's δ̂ at or under this is a feature that does not vary there: its scale is left alone."""

LARGEST_BLOCK = 256


@dataclass(frozen=True)
class BatchEffect:
    """One batch's location γ and scale δ, per feature, on the standardised scale.

    ``gamma_hat``, ``delta_hat``: as measured; ``gamma``, ``delta``: as used; ``gamma_error``,
    ``delta_error``: their standard errors (posterior standard deviations under empirical Bayes, zero where
    nothing was estimated).
    ``notes``: what could not be estimated, in words.
    """

    patients: Array
    gamma_hat: Array
    delta_hat: Array
    gamma: Array
    delta: Array
    gamma_error: Array
    delta_error: Array
    iterations: int = 0
    notes: tuple[str, ...] = ()


def unchanged(features: int) -> BatchEffect:
    """No effect: γ = 0, δ = 1. For a reference batch, or a batch that training never saw."""
    zero, one = np.zeros(features), np.ones(features)
    return BatchEffect(zero, zero, one, zero, one, zero, zero)


def shrink(
    patients: Array, gamma_hat: Array, delta_hat: Array, settings: CombatSettings, groups: NDArray[np.int64]
) -> BatchEffect:
    """γ* and δ* of one batch from its own γ̂ and δ̂.

    Parameters
    ----------
    patients : (p) values behind each feature
    gamma_hat : (p) mean of the standardised values; ignored where there are none
    delta_hat : (p) their variance, ddof = 1; ignored where there are fewer than two
    groups : (p) features of one number share priors; −1: not harmonised, γ = 0 and δ = 1

    Notes
    -----
    Where δ cannot be estimated (one patient, or a feature that is constant in this batch) scale is left alone,
    δ = 1, and location is shrunk with what is known; such a feature does not enter the priors.
    """
    n = np.asarray(patients, dtype=np.float64)
    active = groups != NOT_HARMONISED
    located = active & (n >= 1)
    scaled = located & (n >= 2) & (delta_hat > TINY_VARIANCE)
    gamma_hat = np.where(located, gamma_hat, 0.0)
    delta_hat = np.where(scaled, delta_hat, 1.0)
    gamma, delta = gamma_hat.copy(), delta_hat.copy()
    counted = np.maximum(n, 1.0)
    gamma_error = np.where(located, np.sqrt(delta_hat / counted), 0.0)
    delta_error = np.where(scaled, delta_hat * np.sqrt(2.0 / np.maximum(n - 1.0, 1.0)), 0.0)
    if settings.mean_only:
        delta[:], delta_error[:] = 1.0, 0.0
    notes, iterations = _notes(n, active, located, scaled, settings.mean_only), 0
    for group in np.unique(groups[active]):
        member = active & (groups == group)
        prior = member & (located if settings.mean_only else scaled)
        rest = member & ~prior
        enough = prior.sum() >= 2
        if settings.empirical_bayes and enough:
            g, d, k = gamma_hat[prior], delta_hat[prior], n[prior]
            tau2, bar = g.var(ddof=1), g.mean()
            if not settings.parametric:
                fixed = np.ones_like(d) if settings.mean_only else d
                gamma[prior], delta[prior], gamma_error[prior], delta_error[prior] = nonparametric(
                    k, g, fixed, (k - 1.0) * d
                )
            elif settings.mean_only:
                gamma[prior] = (tau2 * g + bar) / (tau2 + 1.0)
                gamma_error[prior] *= tau2 / (tau2 + 1.0)
            else:
                m, v = d.mean(), d.var(ddof=1)
                gamma[prior], delta[prior], steps = parametric(k, g, d, tau2, bar, m, v)
                iterations = max(iterations, steps)
                gamma_error[prior] = np.sqrt(tau2 * delta[prior] / (k * tau2 + delta[prior]))
                delta_error[prior] = delta[prior] * np.sqrt(v / (v * k / 2.0 + m**2))
            gamma[rest], gamma_error[rest] = _location_only(n[rest], gamma_hat[rest], tau2, bar)
        elif not prior.any() and (rest & located).sum() >= 2:
            # A batch of one patient. Shrunk whatever the settings: with γ = γ̂ its row would become the grand mean.
            seen = gamma_hat[rest & located]
            gamma[rest], gamma_error[rest] = _location_only(
                n[rest], gamma_hat[rest], seen.var(ddof=1), seen.mean()
            )
        elif settings.empirical_bayes:
            notes.append("a group has fewer than two features for a prior: no empirical Bayes there")
    return BatchEffect(n, gamma_hat, delta_hat, gamma, delta, gamma_error, delta_error, iterations, tuple(notes))


def _location_only(n: Array, gamma_hat: Array, tau2: float, bar: float) -> tuple[Array, Array]:
    """Posterior mean and standard deviation of γ where δ = 1 is all that is known of the scale."""
    return (tau2 * n * gamma_hat + bar) / (tau2 * n + 1.0), np.sqrt(tau2 / (tau2 * n + 1.0))


def parametric(
    n: Array, gamma_hat: Array, delta_hat: Array, tau2: float, bar: float, m: float, v: float
) -> tuple[Array, Array, int]:
    """Posterior mode of γ under N(γ̄, τ²) and mean of δ under an inverse gamma with moments m, v, in turn.

    ``γ* = (τ² n γ̂ + δ* γ̄) / (τ² n + δ*)``,  ``δ* = (½[(n−1)δ̂ + n(γ̂−γ*)²] + b) / (n/2 + a − 1)``
    with ``a = (2v + m²)/v`` and ``b = (mv + m³)/v``; multiplied through by v, so that equal δ̂ (v = 0) are no trap.
    """
    squares = (n - 1.0) * delta_hat
    gamma, delta = gamma_hat, delta_hat
    steps = 0
    while steps < 1000:
        steps += 1
        new_gamma = (tau2 * n * gamma_hat + delta * bar) / (tau2 * n + delta)
        spread = 0.5 * (squares + n * (gamma_hat - new_gamma) ** 2)
        new_delta = (v * spread + m * v + m**3) / (v * n / 2.0 + v + m**2)
        # As neuroCombat has it: the change of γ is divided by γ with its sign, so only positive γ can hold it up.
        positive = gamma > 0
        change = max(
            float((np.abs(new_gamma - gamma)[positive] / gamma[positive]).max(initial=0.0)),
            float((np.abs(new_delta - delta) / delta).max(initial=0.0)),
        )
        gamma, delta = new_gamma, new_delta
        if change <= CONVERGENCE:
            break
    return gamma, delta, steps


def nonparametric(
    n: Array, gamma_hat: Array, delta_hat: Array, squares: Array
) -> tuple[Array, Array, Array, Array]:
    """γ*, δ* and their posterior standard deviations, weighing every *other* feature's (γ̂, δ̂) by its likelihood.

    ``log L_ij = −(n_i/2) log(2π δ̂_j) − [squares_i + n_i (γ̂_i − γ̂_j)²] / (2 δ̂_j)``; weights by log-sum-exp, for
    the likelihood itself underflows from some 600 patients on. Blocks of features keep memory at O(p).
    """
    p = len(gamma_hat)
    out = np.empty((4, p))
    log_delta = np.log(2.0 * np.pi * delta_hat)
    moments = np.column_stack([gamma_hat, delta_hat, gamma_hat**2, delta_hat**2])
    for start in range(0, p, LARGEST_BLOCK):
        block = np.arange(start, min(p, start + LARGEST_BLOCK))
        k = n[block, None]
        distance = squares[block, None] + k * (gamma_hat[block, None] - gamma_hat) ** 2
        log_weight = -0.5 * k * log_delta - distance / (2.0 * delta_hat)
        log_weight[np.arange(len(block)), block] = -np.inf
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        out[:, block] = ((weight @ moments) / weight.sum(axis=1, keepdims=True)).T
    gamma, delta, gamma_square, delta_square = out
    gamma_error = np.sqrt(np.maximum(gamma_square - gamma**2, 0.0))
    return gamma, delta, gamma_error, np.sqrt(np.maximum(delta_square - delta**2, 0.0))


def _notes(
    n: Array, active: NDArray[np.bool_], located: NDArray[np.bool_], scaled: NDArray[np.bool_], mean_only: bool
) -> list[str]:
    notes: list[str] = []
    if not active.any():
        return notes
    largest = int(n[active].max())
    if largest < 30 and not mean_only:
        notes.append(f"{largest} patient(s): under 30, mean-only ComBat is recommended")
    absent = int((active & ~located).sum())
    if absent:
        notes.append(f"{absent} feature(s) without any value here: location taken from the other features")
    single = int((located & (n < 2)).sum())
    if single:
        notes.append(f"{single} feature(s) with one value here: location only, scale left alone")
    still = int((located & (n >= 2) & ~scaled).sum())
    if still:
        notes.append(f"{still} feature(s) constant here: location only, scale left alone")
    return notes
