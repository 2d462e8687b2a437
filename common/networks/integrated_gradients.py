"""Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) of the table's columns.

a_j = (x_j − b_j) ∫₀¹ ∂f/∂x_j (b + t(x − b)) dt, from the baseline b = 0, the mean of a standardised column, by the
midpoint rule. Σ_j a_j = f(x) − f(b), up to the rule's error; the image stays as it is.
"""

from collections.abc import Callable

import torch

STEPS = 32


def integrated_gradients(
    line: Callable[[torch.Tensor], torch.Tensor], table: torch.Tensor, steps: int = STEPS
) -> torch.Tensor:
    """Patients × columns: how much each column moves each patient's linear predictor away from the mean patient's.

    Parameters
    ----------
    line
        The network with everything but the table held still: patients × columns → one number a patient.
    """
    total = torch.zeros_like(table)
    for step in range(steps):
        at = (table * ((step + 0.5) / steps)).detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(line(at).sum(), at)
        total += gradient
    return table * total / steps
