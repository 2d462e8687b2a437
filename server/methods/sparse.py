"""The maximum of a quadratic with corners: one step of LASSO and elastic net, worked out at the coordinator.

Minimises ½(x − β)ᵀH(x − β) − gᵀ(x − β) + Σ l1_j |x_j| + ½ Σ l2_j x_j² by feature-sign search (Lee and others, NIPS
2006): guess which coefficients are not 0 and their signs, solve the linear system, correct the guess. It ends after
finitely many guesses with the exact minimum; warm starts take few.
"""

import numpy as np

CLOSE = 1e-12
"""Of the largest term: below this a condition of optimality holds."""
STIFFENING = 1e-10
"""Of the mean second derivative, added about β: equal columns then share a coefficient. The optimum stays."""


def corner_step(
    hessian: np.ndarray, gradient: np.ndarray, beta: np.ndarray, l1: np.ndarray, l2: np.ndarray
) -> np.ndarray:
    """The step from β to the minimum; coefficients without l1 are free."""
    stiff = STIFFENING * max(float(np.trace(hessian)) / max(len(beta), 1), 1e-300)
    curvature = hessian + np.diag(stiff + l2)
    target = gradient + hessian @ beta + stiff * beta
    return minimum(curvature, target, l1, beta) - beta


def minimum(curvature: np.ndarray, target: np.ndarray, l1: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The x that minimises ½xᵀAx − cᵀx + Σ l1_j |x_j|, A positive definite."""
    free = l1 == 0
    x = start.copy()
    sign = np.where(free, 0.0, np.sign(x))
    active = free | (x != 0)
    close = CLOSE * max(float(np.abs(target).max(initial=0.0)), 1e-300)
    solved = False
    for _ in range(20 * len(x) + 100):
        slope = curvature @ x - target
        left = float(np.abs(slope + l1 * sign)[active].max(initial=0.0))
        if solved or left <= close:
            excess = np.where(active, -np.inf, np.abs(slope) - l1)
            entering = int(np.argmax(excess))
            if excess[entering] <= max(close, left):
                return x
            active[entering], sign[entering] = True, -np.sign(slope[entering])
        kept = np.flatnonzero(active)
        goal = np.linalg.solve(curvature[np.ix_(kept, kept)], target[kept] - l1[kept] * sign[kept])
        crossing = ~free[kept] & (goal * sign[kept] <= 0)
        solved = not crossing.any()
        if solved:
            x[kept] = goal
            continue
        x[kept] = _best_on_the_way(curvature[np.ix_(kept, kept)], target[kept], l1[kept], x[kept], goal, crossing)
        active = free | (x != 0)
        sign = np.where(free, 0.0, np.sign(x))
    return x


def _best_on_the_way(
    curvature: np.ndarray,
    target: np.ndarray,
    l1: np.ndarray,
    before: np.ndarray,
    goal: np.ndarray,
    crossing: np.ndarray,
) -> np.ndarray:
    """The best of the points where a coefficient becomes 0, and the goal."""
    best, lowest = before, np.inf
    for j in [*np.flatnonzero(crossing & (before != 0)), None]:
        share = 1.0 if j is None else float(before[j] / (before[j] - goal[j]))
        x = before + share * (goal - before)
        if j is not None:
            x[j] = 0.0
        value = float(0.5 * x @ curvature @ x - target @ x + l1 @ np.abs(x))
        if value < lowest:
            best, lowest = x, value
    return best
