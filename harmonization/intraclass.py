"""Intraclass correlation ICC(1,1) of repeated measurements over several hospitals, exactly, from sums.

One-way random effects (Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420; McGraw & Wong 1996,
doi:10.1037/1082-989X.1.1.30), since nobody reads, and no perturbation is the same, at all hospitals. With k
measurements of each of N patients at H hospitals, m_i a patient's mean and m_h the mean of a hospital's m_i:

    B = Σ_h Σ_i (m_i − m_h)²                MSB = k B / (N − H)
    W = Σ_i Σ_j (x_ij − m_i)²               MSW = W / (N (k − 1))
    ICC = (MSB − MSW) / (MSB + (k − 1) MSW)

Patients are compared within their own hospital: what differs between hospitals (scanners, case mix) would pass for
patients' differences and make every feature look stable. So every hospital centres on its own mean, and no offset
has to be agreed. With F = MSB / MSW on N − H and N (k − 1) degrees of freedom, the limits are
(F/F_q − 1) / (F/F_q + k − 1) for the quantiles F_q at 0.975 and 0.025.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from harmonization.arrays import Array, Sums

LEVEL = 0.95


@dataclass(frozen=True)
class Intraclass:
    """ICC with its limits for every feature; NaN where nothing varies or too few were measured repeatedly."""

    icc: Array
    low: Array
    high: Array


def intraclass_sums(measured: ArrayLike, fewest: int) -> Sums:
    """A hospital's ``hospitals`` (0 or 1), ``patients``, ``between`` and ``within``, each a feature.

    Parameters
    ----------
    measured
        Patients × measurements × features; a patient with a gap in any measurement of a feature does not count there.
    fewest
        A feature that fewer patients have in all measurements gets zeros.
    """
    x = np.asarray(measured, dtype=np.float64)
    if x.ndim != 3:
        raise ValueError(f"expected patients × measurements × features, found the shape {x.shape}")
    complete = np.isfinite(x).all(axis=1)
    complete &= complete.sum(axis=0) >= fewest
    n = complete.sum(axis=0)
    x = np.where(complete[:, None, :], x, 0.0)
    own = x.mean(axis=1)
    apart = np.where(complete, own - own.sum(axis=0) / np.maximum(n, 1), 0.0)
    spread = np.where(complete[:, None, :], x - own[:, None, :], 0.0)
    return {
        "hospitals": (n > 0).astype(np.float64),
        "patients": n.astype(np.float64),
        "between": np.einsum("ij,ij->j", apart, apart),
        "within": np.einsum("ijk,ijk->k", spread, spread),
    }


def intraclass(total: Sums, k: int) -> Intraclass:
    """The ICC of k measurements from the hospitals' total."""
    n, hospitals = total["patients"], total["hospitals"]
    free = n - hospitals
    enough = (free > 0) & (total["between"] + total["within"] > 0)
    some = np.where(enough, free, 1.0)
    rest = np.where(enough, n * (k - 1), 1.0)
    between, within = k * total["between"] / some, total["within"] / rest
    lower = stats.f.ppf((1 + LEVEL) / 2, some, rest)
    upper = stats.f.ppf((1 - LEVEL) / 2, some, rest)
    return Intraclass(*(np.where(enough, _icc(between, within * q, k), np.nan) for q in (1.0, lower, upper)))


def _icc(between: Array, within: Array, k: int) -> Array:
    bottom = between + (k - 1) * within
    return (between - within) / np.where(bottom > 0, bottom, 1.0)
