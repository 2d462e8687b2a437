"""What repeated measurements say of the features, as results.json holds it."""

from typing import Any

import numpy as np

from server.methods.stability import Agreement, Stable

GOOD, EXCELLENT = 0.75, 0.9
"""doi:10.1016/j.jcm.2016.02.012"""


def stability_of(stable: Stable | None) -> dict[str, Any] | None:
    """The entry `stability`; None where the study measures nobody again."""
    if stable is None:
        return None
    kinds = stable.settings.measurements()
    return {
        "settings": stable.settings.model_dump(mode="json"),
        "summary": {kind: _summary(stable.agreement.get(kind)) for kind in kinds},
        "left_out": stable.left_out,
        "features": {
            name: {kind: _feature(stable.agreement.get(kind), j) for kind in kinds}
            for j, name in enumerate(stable.features)
        },
    }


def _summary(said: Agreement | None) -> dict[str, Any] | None:
    """Patients are those of the feature that most have: feature by feature, small differences would tell on someone."""
    if said is None:
        return None
    known = said.found.icc[~np.isnan(said.found.icc)]
    return {
        "measurements": said.measurements,
        "patients": int(said.patients.max()),
        "hospitals": int(said.hospitals.max()),
        "features": len(known),
        "good": int((known >= GOOD).sum()),
        "excellent": int((known >= EXCELLENT).sum()),
    }


def _feature(said: Agreement | None, j: int) -> dict[str, float] | None:
    """ICC to three decimals, limits to two: with all their digits they would tell the number of patients."""
    if said is None or np.isnan(said.found.icc[j]):
        return None
    found = said.found
    return {
        "icc": round(float(found.icc[j]), 3),
        "low": round(float(found.low[j]), 2),
        "high": round(float(found.high[j]), 2),
    }
