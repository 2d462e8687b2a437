"""How much of a prediction the clinical columns, the tumour's and the ring's features bring.

The linear predictor is a sum of parts, η = β₀ + Σ_g η_g with η_g = Σ_{j in g} β_j z_j. The share of a part is
cov(η_g, η) / var(η): shares add up to 1, and what two parts have in common falls to both alike. A share below 0 is a
part that works against the others. Rounds: 1. What leaves: per model Ση_g and Ση_g η_h of at most six groups over all
patients, as masked totals. Exact. Mirrored by client/queries/parts.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.splits import FINAL
from common.study import Study
from common.variables import INDICATOR
from server.federation import Federation
from server.methods.pipeline import Prepared

CLINICAL, TUMOUR, RING, BOTH, OTHER = "clinical", "tumour", "ring", "tumour and ring", "other image features"
_REGION = re.compile(r"(tumou?r|ring|band|habitat|liver)")


@dataclass(frozen=True)
class Part:
    """What one group of columns brings to the linear predictor of the final model."""

    columns: int
    share: float | None
    spread: float


def group_of(study: Study, column: str) -> str:
    """The group of a column of the design: clinical, or the region in a feature's name (common/features.py)."""
    if column.removesuffix(INDICATOR).partition("=")[0] in study.predictors.clinical:
        return CLINICAL
    for token in column.lower().split("_")[:2]:  # <phase>_<region>_…, or without a phase
        found = {match.replace("tumor", "tumour") for match in _REGION.findall(token)}
        if not found:
            continue
        if "band" in found or {"tumour", "ring"} <= found:
            return BOTH
        if "ring" in found:
            return RING
        return TUMOUR if found & {"tumour", "habitat"} else OTHER
    return OTHER


def share_parts(
    federation: Federation, study: Study, prepared: Prepared, models: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Part]]:
    """The parts of every model's prediction.

    Parameters
    ----------
    models
        By name, the final model's coefficients on the standardised columns, the intercept first.
    """
    groups = [group_of(study, column) for column in prepared.columns]
    names = [g for g in (CLINICAL, TUMOUR, RING, BOTH, OTHER) if g in groups]
    member = np.array([[g == name for g in groups] for name in names], dtype=np.float64)
    beta = np.concatenate([member * coefficients[1:] for coefficients in models.values()])
    sums = federation.ask("parts", view=prepared.view, splits=[FINAL], arrays={"beta": beta[None]}).sums
    patients, first = float(sums["patients"][0]), sums["first"][0]
    covariance = sums["products"][0] / patients - np.outer(first, first) / patients**2
    found = {}
    for m, (model, coefficients) in enumerate(models.items()):
        own = slice(m * len(names), (m + 1) * len(names))
        found[model] = _parts(names, covariance[own, own], member, coefficients[1:])
    return found


def _parts(
    names: list[str], covariance: np.ndarray, member: np.ndarray, coefficients: np.ndarray
) -> dict[str, Part]:
    whole = float(covariance.sum())
    return {
        name: Part(
            columns=int((member[g] * (coefficients != 0)).sum()),
            share=float(covariance[g].sum()) / whole if whole > 1e-18 else None,
            spread=float(np.sqrt(max(0.0, covariance[g, g]))),
        )
        for g, name in enumerate(names)
        if (member[g] * (coefficients != 0)).any()
    }
