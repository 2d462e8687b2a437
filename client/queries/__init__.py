"""The complete list of what may leave a hospital.

Every query is a small pure function of a hospital's rows and of bounded public parameters; two, own_copy and
own_survival, send nothing, and write the hospital's own files instead. What is not in `QUERIES` cannot be asked.
"""

from client.queries import (  # noqa: F401  (importing a module declares its queries)
    attention,
    bootstrap,
    cohort_counts,
    combat,
    comparison,
    counts_of_cells,
    cox,
    cox_shared,
    cross_products,
    discrimination,
    external_figures,
    follow_up,
    habitats,
    horizon,
    horizon_comparison,
    hospital_effect,
    logistic,
    lone_columns,
    membership,
    moments,
    multinomial,
    network,
    nyul,
    operating,
    ordinal,
    own_copy,
    own_survival,
    parts,
    private_gradient,
    private_histograms,
    private_moments,
    proportional_hazards,
    quantiles,
    recalibration,
    redundancy,
    retest,
    roll_call,
    screening,
    second_task,
    stability,
    subgroups,
    survival,
    survival_bootstrap,
    survival_comparison,
    survival_risk,
    survival_subgroups,
    tuning,
)
from client.queries.registry import QUERIES, read

__all__ = ["QUERIES", "read"]
