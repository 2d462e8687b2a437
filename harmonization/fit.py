"""ComBat's regression from totals: what the coordinator works out after one round."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harmonization.arrays import Array, Sums, symmetric
from harmonization.least_squares import Solution, residual_squares, solve
from harmonization.parameters import CombatParameters, CombatSettings, named

NEARLY_CONSTANT = 1e-12
"""A feature is constant where σ ≤ this times its own magnitude |grand mean|: what is left is rounding."""

FULLY_EXPLAINED = 1e-13
"""A feature is a function of the covariates where its residual variance is under this share of its own."""


def fit(
    total: Sums,
    settings: CombatSettings | None = None,
    *,
    offset_covariates: ArrayLike | None = None,
    offset_features: ArrayLike | None = None,
    penalty: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    covariate_names: tuple[str, ...] = (),
    feature_names: tuple[str, ...] = (),
) -> CombatParameters:
    """The shared parameters of ComBat, from the total of `harmonization.sums.combat_sums`.

    - ``B = (cc + penalty)⁻¹ cy``; collinear or hospital-aliased covariates by eigenvalue cut-off, and reported
    - ``grand = (Σy − Σc · B) / N``
    - ``σ² = max(yy − 2 Bᵀcy + Bᵀ cc B, 0) / N``

    Exact: equal to the pooled regression with a dummy for every batch (Frisch–Waugh), one round.

    Parameters
    ----------
    total : the hospitals' sums, added; with or without missing values per feature.
    offset_covariates, offset_features : the public shifts that the sums were formed with.
    penalty : q×q, 2αΩ for smooth covariates; see `harmonization.splines`.
    groups : p whole numbers, features of one number share priors, −1 is left alone. Default: one group.
    """
    q, p = total["cy"].shape
    o_c = np.zeros(q) if offset_covariates is None else np.asarray(offset_covariates, dtype=np.float64)
    o_y = np.zeros(p) if offset_features is None else np.asarray(offset_features, dtype=np.float64)
    broken = [key for key, value in total.items() if not np.isfinite(value).all()]
    if broken:
        raise ValueError(
            f"the total holds values that are not finite in {', '.join(broken)}: a hospital's sums broke"
        )
    cc = symmetric(total["cc"], q)
    solution = solve(cc, total["cy"], None if penalty is None else np.asarray(penalty, dtype=np.float64))
    b = solution.coefficients
    n = np.broadcast_to(total["n"], (p,)).copy()
    held = np.maximum(n, 1.0)
    c_total = total["c"] if total["c"].ndim == 2 else np.broadcast_to(total["c"][:, None], (q, p))
    grand = o_y + (total["y"] - np.einsum("kj,kj->j", c_total, b)) / held - o_c @ b
    variance = residual_squares(cc, total["cy"], total["yy"], b) / held
    constant = is_constant(variance, grand, total["yy"] / held)
    findings = _findings(solution, constant, n, covariate_names, feature_names)
    return CombatParameters(
        settings=settings or CombatSettings(),
        coefficients=b,
        grand_mean=grand,
        variance=variance,
        constant=constant,
        groups=np.zeros(p, dtype=np.int64) if groups is None else np.asarray(groups, dtype=np.int64),
        patients=n,
        covariate_names=tuple(covariate_names),
        feature_names=tuple(feature_names),
        findings=findings,
    )


def is_constant(variance: Array, grand: Array, own_variance: Array) -> NDArray[np.bool_]:
    """Features whose residual is mere rounding: constant, near-constant, or a function of the covariates."""
    small = variance <= (NEARLY_CONSTANT * np.abs(grand)) ** 2
    flagged: NDArray[np.bool_] = small | (variance <= FULLY_EXPLAINED * own_variance)
    return flagged


def _findings(
    solution: Solution,
    constant: NDArray[np.bool_],
    n: Array,
    covariates: tuple[str, ...],
    features: tuple[str, ...],
) -> tuple[str, ...]:
    found = []
    for flags, words in (
        (solution.empty, "constant within every batch, so not to be told from the hospital"),
        (solution.tangled, "collinear with others, so only their joint effect is estimated"),
    ):
        columns = np.flatnonzero(flags.any(axis=0))
        if len(columns):
            times = int(flags.any(axis=1).sum())
            among = f" (for {times} of {len(flags)} features)" if len(flags) > 1 else ""
            found.append(f"covariates {named(columns, covariates)}: {words}{among}")
    unseen = np.flatnonzero(n == 0)
    if len(unseen):
        found.append(f"{len(unseen)} feature(s) with no value anywhere, left alone: {named(unseen, features)}")
    flat = np.flatnonzero(constant & (n > 0))
    if len(flat):
        found.append(f"{len(flat)} feature(s) constant or nearly so, passed through: {named(flat, features)}")
    return tuple(found)
