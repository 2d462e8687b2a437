"""Calibration slope and intercept of held-out predictions: mirrored by client/queries/recalibration.py.

Logistic regression of the outcome on the held-out linear predictor, by Newton: slope 1 and intercept 0 mean that
predicted risks need no correction. Rounds: 4–8 for all schemes together. What leaves: a log-likelihood, two
gradients and three second derivatives a scheme, as masked totals. Exact (9e-16 measured).
"""

from dataclasses import dataclass

import numpy as np

from server.evaluation.discrimination import NORMAL_95
from server.federation import Federation
from server.methods.family import unpack_triangle
from server.methods.newton import maximise


@dataclass(frozen=True)
class Calibration:
    """Intercept and slope with their 95 % intervals; None where they cannot be estimated."""

    intercept: tuple[float, float, float] | None
    slope: tuple[float, float, float] | None


def calibrate(federation: Federation, view: str, schemes: tuple[str, ...]) -> dict[str, Calibration]:
    """Fit intercept and slope for every scheme."""
    if not schemes:
        return {}

    def evaluate(beta: np.ndarray, problems: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        asked = {"schemes": [schemes[k] for k in problems]}
        sums = federation.ask(
            "recalibration", view=view, rows="held_out", parameters=asked, arrays={"beta": beta}
        ).sums
        return sums["likelihood"], sums["gradient"], unpack_triangle(sums["hessian"], 2)

    found = maximise(evaluate, len(schemes), 2)
    result = {}
    for k, scheme in enumerate(schemes):
        if not found.converged[k]:
            result[scheme] = Calibration(None, None)
            continue
        errors = np.sqrt(np.diag(np.linalg.inv(found.hessian[k])))
        intercept, slope = (
            (float(b), float(b - NORMAL_95 * e), float(b + NORMAL_95 * e))
            for b, e in zip(found.beta[k], errors, strict=True)
        )
        result[scheme] = Calibration(intercept, slope)
    return result
