"""ComBat's regression in every split: one message of sums, and its parameters as a view."""

from dataclasses import replace
from typing import Any

import numpy as np

from common.query import View
from common.study import Study
from harmonization.arrays import Sums
from harmonization.fit import fit
from harmonization.parameters import CombatParameters, CombatSettings
from server.federation import Federation
from server.methods.layout import Layout, expanded_covariates


def settings_of(study: Study) -> CombatSettings:
    chosen = study.harmonisation
    return CombatSettings(
        empirical_bayes=chosen.empirical_bayes,
        parametric=chosen.priors == "parametric",
        mean_only=chosen.mean_only,
    )


def columns_of(layout: Layout) -> dict[str, Any]:
    return {"covariates": list(layout.covariates), "smooth": dict(layout.smooth)}


def fit_all(federation: Federation, study: Study, layout: Layout, view: str) -> list[CombatParameters]:
    """One message; then every split's regression at the coordinator."""
    asked = columns_of(layout) | {"features": list(layout.features), "incomplete": list(layout.incomplete)}
    sums = federation.ask("combat", view=view, splits=federation.splits, parameters=asked).sums
    return [
        fit_split(study, layout, {key: value[k] for key, value in sums.items()})
        for k in range(len(federation.splits))
    ]


def fit_split(study: Study, layout: Layout, total: Sums) -> CombatParameters:
    """B, grand and σ of one split; features with gaps have sums of their own."""
    names, penalty = expanded_covariates(layout)
    complete = len(layout.features)
    groups = np.array(layout.groups, dtype=np.int64)

    def fitted(part: Sums, chosen: slice) -> CombatParameters:
        return fit(
            part,
            settings_of(study),
            penalty=penalty,
            groups=groups[chosen],
            covariate_names=names,
            feature_names=layout.feature_names[chosen],
        )

    first = fitted({k: v for k, v in total.items() if not k.startswith("gaps_")}, slice(0, complete))
    if not layout.incomplete:
        return first
    with_gaps = {k.removeprefix("gaps_"): v for k, v in total.items() if k.startswith("gaps_")}
    second = fitted(with_gaps, slice(complete, None))
    return replace(
        first,
        coefficients=np.hstack([first.coefficients, second.coefficients]),
        grand_mean=np.concatenate([first.grand_mean, second.grand_mean]),
        variance=np.concatenate([first.variance, second.variance]),
        constant=np.concatenate([first.constant, second.constant]),
        groups=groups,
        patients=np.concatenate([first.patients, second.patients]),
        feature_names=layout.feature_names,
        findings=tuple(dict.fromkeys((*first.findings, *second.findings))),
    )


def combat_view(
    step: str, federation: Federation, layout: Layout, parent: str, fitted: list[CombatParameters]
) -> View:
    """The parameters of all splits as a view: arrays and a few words, no model of anybody's library."""
    settings = fitted[0].settings
    return View(
        step=step,
        parent=parent,
        splits=federation.splits,
        parameters=columns_of(layout)
        | {
            "features": list(layout.harmonised_features),
            "groups": list(layout.groups),
            "reference": [p.reference for p in fitted],
            "settings": {
                "empirical_bayes": settings.empirical_bayes,
                "parametric": settings.parametric,
                "mean_only": settings.mean_only,
            },
        },
        arrays={
            "coefficients": np.array([p.coefficients for p in fitted]),
            "grand_mean": np.array([p.grand_mean for p in fitted]),
            "variance": np.array([p.variance for p in fitted]),
            "constant": np.array([p.constant for p in fitted], dtype=np.float64),
            "patients": np.array([p.patients for p in fitted]),
        },
    )
