"""Multinomial regression, class 0 as reference, equal to the pooled fit: mirrored by client/queries/multinomial.py.

Maximises Σ log[e^η_y / Σ_c e^η_c] − penalty, η_0 = 0 and η_c = α_c + xᵀβ_c for the classes c = 1 … C − 1, on
standardised columns; the intercepts α are free. A penalty sums over all slopes of all classes but the reference, so
that it depends on which class that is. Rounds: 6–10 Newton steps for all folds together. What leaves: per problem
the log-likelihood, its gradient ((C − 1)(1 + p)) and the triangle of second derivatives, as masked totals. Exact:
within 1e-8 of scikit-learn's and statsmodels' pooled fits (tests/server/test_fits.py).
"""

import numpy as np

from server.methods.family import Family


def multinomial(classes: int) -> Family:
    """The family for a number of classes."""

    def null(likelihood: float, gradient: np.ndarray) -> np.ndarray:
        patients = -likelihood / np.log(classes)
        others = np.maximum(gradient + patients / classes, 0.5)
        return np.log(others / max(patients - float(others.sum()), 0.5))

    return Family("multinomial", start=np.zeros(classes - 1), null=null, blocks=classes - 1)
