"""Which questions count patients without the outcome, and which look at it over cells that were counted so.

How many patients of all hospitals a cell holds no hospital knows by itself. So the coordinator hands the opened counts
round (common/secure_sum/opened.py), and each hospital adds them up before it says what happened in the cells.
"""

from collections.abc import Mapping
from types import MappingProxyType

COUNTED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "discrimination": ("score_counts",),
        "bootstrap": ("score_counts",),
        "placement_products": ("score_counts",),
        "horizon_predictions": ("score_counts",),
        "survival_order": ("score_counts",),
        "survival_bootstrap": ("score_counts",),
        "survival_risk": ("score_counts", "group_counts"),
        "training_classes": ("score_counts", "training_counts"),
        "threshold_classes": ("group_counts",),
    }
)
"""The counts that a question's cells are held against, of the same view."""

COUNTING = frozenset(name for names in COUNTED_BY.values() for name in names)
"""Always masked, in a study without secure sums too: what is handed round must be a total."""
