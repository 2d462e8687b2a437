"""The shared transform before ComBat, fitted on the training rows of every split.

Signed log: sign(x)·log1p(|x|/s), s the power of ten at the mean size of the feature; one round. Yeo–Johnson: λ by
maximum likelihood over a public grid, then a finer one; two rounds. What leaves: per feature Σ|x|, or for every
candidate λ the sum and sum of squares of the transformed values, as masked totals.
"""

import numpy as np

from common.query import View
from common.study import Study
from harmonization import yeo_johnson as powers
from harmonization.transform import Transform, no_transform, power_transform, powers_of_ten, signed_log
from server.federation import Federation
from server.methods.layout import Layout

YEO_JOHNSON_ROUNDS = 2


def choose_transforms(
    federation: Federation, study: Study, layout: Layout, view: str, mean: np.ndarray, spread: np.ndarray
) -> list[Transform]:
    """The shared transform of every split, fitted on its training rows."""
    features = list(layout.harmonised_features)
    splits = federation.splits
    if study.harmonisation.transform == "signed-log":
        sums = federation.ask("magnitudes", view=view, splits=splits, parameters={"features": features}).sums
        return [signed_log(powers_of_ten({k: v[s] for k, v in sums.items()})) for s in range(len(splits))]
    if study.harmonisation.transform == "none":
        return [no_transform(len(features)) for _ in splits]
    location = mean[:, features]
    scale = np.where(spread[:, features] > 0, spread[:, features], 1.0)
    grids = [powers.coarse_grid(len(features)) for _ in splits]
    for last in range(YEO_JOHNSON_ROUNDS):
        sums = federation.ask(
            "yeo_johnson",
            view=view,
            splits=splits,
            parameters={"features": features},
            arrays={"grid": np.array(grids), "location": location, "scale": scale},
        ).sums
        totals = [{key: value[s] for key, value in sums.items()} for s in range(len(splits))]
        if last == YEO_JOHNSON_ROUNDS - 1:
            break
        grids = [powers.finer_grid(total, grid) for total, grid in zip(totals, grids, strict=True)]
    chosen = [powers.choose(total, grid) for total, grid in zip(totals, grids, strict=True)]
    return [power_transform(p, location[s], scale[s]) for s, p in enumerate(chosen)]


def transform_view(federation: Federation, layout: Layout, parent: str, transforms: list[Transform]) -> View:
    return View(
        step="transform",
        parent=parent,
        splits=federation.splits,
        parameters={"kind": transforms[0].kind, "features": list(layout.harmonised_features)},
        arrays={
            "location": np.array([t.location for t in transforms]),
            "scale": np.array([t.scale for t in transforms]),
            "powers": np.array([t.powers for t in transforms]),
        },
    )
