"""How steep a survival score is among one hospital's own patients: the coefficient of a Cox model of it alone."""

import numpy as np

from client.queries.cox import efron

STEEPEST = 20.0


def slope_of(score: np.ndarray, outcome: np.ndarray) -> float | None:
    """The coefficient of a Cox model of the score alone; None where it has none below 20."""
    if np.ptp(score) == 0:
        return None
    matrix, slope = score[:, None] - score.mean(), 0.0
    for _ in range(50):
        linear = matrix[:, 0] * slope
        highest = float(linear.max())
        _, gradient, curvature = efron(matrix, outcome, linear, np.exp(linear - highest), highest, curved=True)
        step = float(np.clip(gradient[0] / max(curvature[0, 0], 1e-12), -1.0, 1.0))
        slope += step
        if abs(slope) > STEEPEST:
            return None
        if abs(step) < 1e-9:
            return slope
    return None
