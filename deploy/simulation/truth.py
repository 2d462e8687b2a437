"""What generated the synthetic hospitals, as the JSON that stands beside them."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from deploy.simulation.outcomes import CLINICAL, DEATH, MVI, RECURRENCE
from deploy.simulation.radiomics import FACTORS, FLOOR, SHAPE_FEATURES, SKEW, Effect, factor_correlation
from deploy.simulation.synthesis import Hospital, Setting

HOW_TO_READ = {
    "outcomes": "linear predictor = intercept + sum of coefficient x standardised column, latent factor or mvi",
    "standardised": "(transform(value) - centre) / scale",
    "hazards": "S(t) = exp(-(t / scale_days)^shape x exp(linear predictor)), "
    "t from day 30 (recurrence) or 31 (death)",
    "features": "z = sum of loading x factor + unique x noise; mean + sd x z, or, skewed, a multiple of floor + "
    "exp(skew x z) with that mean and sd",
    "measured": "mean + sd x (hospital shift + scanner shift) + hospital scale x scanner scale x (clean - mean); "
    "shape features are measured alike everywhere; by design, hospitals with a higher mvi_prevalence lean to "
    "softer reconstruction, so that shifts work against the true signal",
}


def truth_of(setting: Setting, hospitals: Sequence[Hospital]) -> str:
    """The truth as JSON text."""
    texture = setting.texture
    truth = {
        "seed": setting.seed,
        "sites": setting.sites,
        "patients": setting.patients,
        "hospital_effect": setting.hospital_effect,
        "how_to_read": HOW_TO_READ,
        "standardised": {name: asdict(column) for name, column in CLINICAL.items()},
        "outcomes": {"mvi": dict(MVI), "recurrence": asdict(RECURRENCE), "death": asdict(DEATH)},
        "factors": list(FACTORS),
        "factor_correlation": factor_correlation().round(4).tolist(),
        "skew": SKEW,
        "floor": FLOOR,
        "shape_features": list(SHAPE_FEATURES),
        "features": {
            name: {
                "block": texture.blocks[k],
                "mean": float(texture.means[k]),
                "sd": float(texture.deviations[k]),
                "skewed": bool(texture.skewed[k]),
                "loadings": texture.loadings[k].tolist(),
                "unique": float(texture.unique[k]),
            }
            for k, name in enumerate(texture.names)
        },
        "hospitals": {
            hospital.name: {
                "patients": len(hospital.ids),
                "mvi_intercept": hospital.intercept,
                **asdict(hospital.mix),
                **_effect(hospital.effect, texture.names),
            }
            for hospital in hospitals
        },
        "scanners": {model: _effect(effect, texture.names) for model, effect in setting.scanners.items()},
    }
    return json.dumps(truth, indent=1, ensure_ascii=False) + "\n"


def _effect(effect: Effect, names: Sequence[str]) -> dict[str, dict[str, float]]:
    def by_feature(values: np.ndarray) -> dict[str, float]:
        return dict(zip(names, values.tolist(), strict=True))

    return {"shift": by_feature(effect.shift), "scale": by_feature(effect.scale)}
