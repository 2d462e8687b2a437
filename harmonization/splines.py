"""Smooth covariates: a cubic B-spline on public knots, and its curvature penalty.

The knots and the penalty's weight are chosen by the study, so every hospital builds the same columns; ComBat then
takes them as ordinary covariates with ``penalty = 2αΩ``. The factor 2 makes α mean what it means in statsmodels'
`GLMGam`, which neuroHarmonize uses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import BSpline
from scipy.linalg import block_diag

from harmonization.arrays import Array


@dataclass(frozen=True)
class SmoothTerm:
    """One smooth covariate.

    ``knots``: lower bound, inner knots, upper bound, rising and public; values beyond are taken as the bound.
    ``alpha``: weight of the penalty ∫ f''².
    """

    knots: tuple[float, ...]
    alpha: float = 1.0
    degree: int = 3

    def __post_init__(self) -> None:
        if len(self.knots) < 2 or any(b <= a for a, b in zip(self.knots, self.knots[1:], strict=False)):
            raise ValueError(f"knots: expected two or more rising numbers, found {list(self.knots)}")
        if self.alpha < 0:
            raise ValueError(f"alpha: expected zero or more, found {self.alpha}")

    @property
    def full_knots(self) -> Array:
        """The knots with the bounds repeated ``degree`` more times, as a B-spline needs."""
        edge = self.degree
        return np.r_[[self.knots[0]] * edge, self.knots, [self.knots[-1]] * edge].astype(np.float64)

    @property
    def width(self) -> int:
        """Number of columns: the first basis function is dropped, for the batches already have a mean."""
        return len(self.knots) + self.degree - 2


def spline_columns(values: ArrayLike, term: SmoothTerm) -> Array:
    """The B-spline basis at ``values`` (n), without its first function: n×width. A missing value is a NaN row."""
    x = np.asarray(values, dtype=np.float64)
    if not len(x):
        return np.zeros((0, term.width))
    inside = np.clip(np.where(np.isfinite(x), x, term.knots[0]), term.knots[0], term.knots[-1])
    basis: Array = BSpline.design_matrix(inside, term.full_knots, term.degree).toarray()[:, 1:]
    basis[~np.isfinite(x)] = np.nan
    return basis


def curvature(term: SmoothTerm) -> Array:
    """Ω = ∫ b''(x) b''(x)ᵀ dx, exact: Gauss–Legendre between neighbouring knots."""
    points, weights = np.polynomial.legendre.leggauss(max(term.degree - 1, 1))
    knots = np.asarray(term.knots)
    half = np.diff(knots)[:, None] / 2.0
    x = (knots[:-1, None] + half) + half * points
    second = BSpline(term.full_knots, np.eye(term.width + 1), term.degree).derivative(2)(x.ravel())[:, 1:]
    omega: Array = second.T @ (second * (half * weights).ravel()[:, None])
    return omega


def with_splines(
    covariates: ArrayLike, names: list[str], smooth: dict[str, SmoothTerm]
) -> tuple[Array, list[str], Array]:
    """Covariates with the smooth ones expanded, their names, and the penalty matrix 2αΩ over all columns."""
    table = np.asarray(covariates, dtype=np.float64)
    unknown = sorted(set(smooth) - set(names))
    if unknown:
        raise ValueError(f"smooth covariates {', '.join(unknown)} are not among the covariates {', '.join(names)}")
    columns, new_names, blocks = [], [], []
    for k, name in enumerate(names):
        term = smooth.get(name)
        if term is None:
            columns.append(table[:, k : k + 1])
            new_names.append(name)
            blocks.append(np.zeros((1, 1)))
        else:
            columns.append(spline_columns(table[:, k], term))
            new_names.extend(f"{name}:spline{i + 1}" for i in range(term.width))
            blocks.append(2.0 * term.alpha * curvature(term))
    if not columns:
        return table, [], np.zeros((0, 0))
    return np.column_stack(columns), new_names, block_diag(*blocks)
