"""Cox regression with a baseline a hospital, equal to the pooled stratified fit: mirrored by client/queries/cox.py.

Maximises Σ_hospitals Σ_events [η_i − log Σ_(at risk) e^η] − penalty, η = xᵀβ on standardised columns; risk sets stay
within a hospital, and ties are counted by Efron's rule. So no time of any event leaves, and hospitals may differ in
how many of their patients die, as in a multicentre trial. Rounds: 5–6 Newton steps for all folds together. What
leaves: per problem each hospital's own partial log-likelihood, its gradient (p) and the triangle of second
derivatives, as masked totals. Exact: within 1e-8 of lifelines' CoxPHFitter(strata=hospital) (tests/server/test_cox.py).
Competing events count as censored: the model is the cause-specific one.
"""

import numpy as np

from server.methods.family import Family

COX = Family("cox", start=np.zeros(0), null=lambda _, __: np.zeros(0))
