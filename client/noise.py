"""Noise that no arithmetic takes off again: whole numbers from a discrete Gaussian, added on a grid.

A float64 Gaussian added to a float64 sum leaves traces of both in its last bits (Mironov 2012,
doi:10.1145/2382196.2382264). So every patient's contribution is rounded to a grid of a power of two, about 2⁻³² of
the noise, sums are exact whole numbers of it, and the noise is one as well: Canonne, Kamath and Steinke 2020
(arXiv:2004.00010), whose guarantee is that of the continuous Gaussian; sums over hospitals keep it (Kairouz, Liu and
Steinke 2021, arXiv:2102.06387). Randomness comes from the operating system.
"""

import os
from dataclasses import dataclass
from math import floor, frexp, prod

import numpy as np

from client.rows import Rows
from common.errors import Code, HospitalError
from common.privacy_plan import share_of_noise

FINENESS = 32
"""The noise is between 2³¹ and 2³² units of the grid."""


@dataclass(frozen=True)
class Release:
    """How one sum leaves: on which grid, with how much noise of this hospital (0: none, in simulations alone)."""

    grid: float
    units: float

    @staticmethod
    def of(sigma: float, share: float, silent: bool = False) -> "Release":
        """A release whose total is to have noise σ, of which this hospital adds a share."""
        grid = 2.0 ** (frexp(sigma * share)[1] - FINENESS)
        return Release(grid, 0.0 if silent else sigma * share / grid)

    def total(self, contributions: np.ndarray) -> np.ndarray:
        """The sum over patients (the first axis) with this hospital's noise, in multiples of the grid."""
        summed = np.rint(contributions / self.grid).sum(axis=0)
        if self.units:
            summed = summed + discrete_gaussian(self.units, summed.shape)
        noised: np.ndarray = summed * self.grid
        return noised


def release_of(rows: Rows, sigma: float, noise: bool) -> Release:
    """A release of which the total has noise σ; HospitalError where it would have none and must have some."""
    if not noise and not rows.site.lower_profile:
        raise HospitalError(Code.NOT_ALLOWED, f"query {rows.query.name!r}: noise is left out in simulations alone")
    return Release.of(sigma, share_of_noise(rows.query.roster), silent=not noise)


def discrete_gaussian(sigma: float, shape: tuple[int, ...]) -> np.ndarray:
    """Whole numbers k with probability ∝ exp(−k²/2σ²), by rejection from a discrete Laplace distribution."""
    if not 1 <= sigma <= 2.0**40:
        raise ValueError(f"σ = {sigma:g}: expected 1 to 2⁴⁰ units of the grid")
    wanted = prod(shape)
    scale = 2 ** floor(np.log2(sigma))
    kept = [np.zeros(0)]
    while sum(map(len, kept)) < wanted:
        drawn = _discrete_laplace(scale, 2 * wanted + 16).astype(np.float64)
        distance = np.abs(drawn) - sigma**2 / scale
        kept.append(drawn[_uniform(len(drawn)) < np.exp(-(distance**2) / (2 * sigma**2))])
    return np.concatenate(kept)[:wanted].reshape(shape)


def _discrete_laplace(scale: int, size: int) -> np.ndarray:
    """Whole numbers k with probability ∝ exp(−|k|/scale), for a scale that is a power of two; fewer than asked."""
    low = (_words(size) & np.uint64(scale - 1)).astype(np.int64)
    low = low[_uniform(size) < np.exp(-low / scale)]
    high = np.floor(-np.log(_uniform(len(low)))).astype(np.int64)
    size_of = low + scale * high
    negative = (_words(len(low)) & np.uint64(1)).astype(bool)
    return np.where(negative, -size_of, size_of)[~(negative & (size_of == 0))]  # or 0 would count twice


def _uniform(size: int) -> np.ndarray:
    """Numbers between 0 and 1, never 0."""
    return (_words(size) + 0.5) * 2.0**-64


def _words(size: int) -> np.ndarray:
    return np.frombuffer(os.urandom(8 * size), dtype="<u8")
