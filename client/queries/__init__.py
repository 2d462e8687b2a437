"""The complete list of what may leave a hospital.

Every query is a small pure function of a hospital's rows and of bounded public parameters. What is not in
`QUERIES` cannot be asked.
"""

from client.queries import (  # noqa: F401  (importing a module declares its queries)
    cohort_counts,
    combat,
    cross_products,
    discrimination,
    habitats,
    hospital_effect,
    logistic,
    moments,
    nyul,
    own_copy,
    quantiles,
    recalibration,
    retest,
    roll_call,
    stability,
)
from client.queries.registry import QUERIES, read

__all__ = ["QUERIES", "read"]
