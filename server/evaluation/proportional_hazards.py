"""Whether relative hazards stay what they are: a score test of every column times the logarithm of the month.

Cox: h(t) = h₀(t) e^{xᵀβ}. Alternative: xᵀ(β + θ g(t)), g(t) the logarithm of the month in which t lies. With r an
event's columns less their mean over its risk set and V their variance there, U = Σ r, U_g = Σ g r, I = Σ V,
I_g = Σ g V, I_gg = Σ g² V: the score U* = U_g − I_g I⁻¹ U and its variance V* = I_gg − I_g I⁻¹ I_g. χ² = U*ᵀV*⁻¹U*
for all columns together, U*_j²/V*_jj for one (Grambsch and Therneau 1994, doi:10.1093/biomet/81.3.515, in the exact
form of R's survival 3). U is 0 at the optimum of a plain fit; taking it into account keeps the test right for a ridge
(Neyman's C(α)). Of columns that a LASSO chose, p-values take the choice for given. Risk sets stay within a hospital
whatever the model's baseline.
Rounds: 1 for all models. What leaves: U, U_g and the triangles of I, I_g, I_gg of the final rows, as masked totals.
Exact. Mirrored by client/queries/proportional_hazards.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from common.splits import FINAL
from server.federation import Federation
from server.methods.family import Problem, Question, unpack_triangle


@dataclass(frozen=True)
class Column:
    """The test of one column; `slope` is by how much its log hazard ratio grows as time grows e-fold, to first order.

    Of a column on its standardised scale.
    """

    statistic: float
    p_value: float
    slope: float


@dataclass(frozen=True)
class Proportional:
    """The test of all columns of a model together, and of each by itself."""

    statistic: float
    degrees: int
    p_value: float
    columns: dict[str, Column]


def judge_proportionality(
    federation: Federation, view: str, names: Sequence[str], models: Mapping[str, np.ndarray]
) -> dict[str, Proportional]:
    """Test every model that has a column.

    Parameters
    ----------
    names
        The view's columns.
    models
        By name, the final model's coefficients on the standardised columns, the intercept first.
    """
    used = {name: tuple(np.flatnonzero(beta[1:]).tolist()) for name, beta in models.items()}
    tested = [name for name, columns in used.items() if columns]
    if not tested:
        return {}
    beta = [models[name][1:][list(used[name])] for name in tested]
    question = Question(federation, view, [Problem(FINAL, used[name]) for name in tested], beta, ())
    splits, parameters, arrays = question.named()
    sums = federation.ask(
        "proportional_hazards", view=view, splits=splits, parameters=parameters, arrays=arrays
    ).sums
    widths = [len(b) for b in beta]
    scores = np.split(sums["score"], np.cumsum([2 * w for w in widths])[:-1])
    triangles = np.split(sums["information"], np.cumsum([3 * w * (w + 1) // 2 for w in widths])[:-1])
    found = {}
    for name, width, score, packed in zip(tested, widths, scores, triangles, strict=True):
        information = unpack_triangle(packed.reshape(3, -1), width)
        result = score_test(score.reshape(2, width), information, [names[j] for j in used[name]])
        if result is not None:
            found[name] = result
    return found


def score_test(score: np.ndarray, information: np.ndarray, names: Sequence[str]) -> Proportional | None:
    """The test from (U, U_g) and (I, I_g, I_gg); None where the columns cannot be told apart."""
    plain, mixed, squared = information
    if np.linalg.matrix_rank(plain) < len(plain):
        return None
    efficient = score[1] - mixed @ np.linalg.solve(plain, score[0])
    variance = squared - mixed @ np.linalg.solve(plain, mixed)
    if np.linalg.matrix_rank(variance) < len(variance) or (np.diag(variance) <= 0).any():
        return None
    statistic = float(efficient @ np.linalg.solve(variance, efficient))
    own = np.diag(variance)
    columns = {
        name: Column(float(u**2 / v), float(chi2.sf(u**2 / v, 1)), float(u / v))
        for name, u, v in zip(names, efficient, own, strict=True)
    }
    return Proportional(statistic, len(names), float(chi2.sf(statistic, len(names))), columns)
