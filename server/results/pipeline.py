"""The pipeline up to the model, as results.json says it (docs/results.md describes every key)."""

from typing import Any

from server.finished import Finished
from server.methods.pipeline import Prepared
from server.results.cohort import known_in


def pipeline_of(finished: Finished) -> dict[str, Any]:
    """The key `pipeline`: how columns were filled, harmonised and scaled for the final model."""
    prepared, study = finished.groundwork.prepared, finished.study
    return {
        "imputation": study.imputation.model_dump(),
        "harmonisation": _harmonisation(finished),
        "columns": {
            name: {
                "known": known_in(finished, j),
                **_fitted(prepared, j),
                "used": bool(prepared.used[0, j]),
            }
            for j, name in enumerate(prepared.columns)
        },
    }


def _fitted(prepared: Prepared, j: int) -> dict[str, float | None]:
    """Fill, centre and spread, which for a column that too few patients carry would tell how many they are."""
    figures = {"fill": prepared.fill, "centre": prepared.centre, "spread": prepared.spread}
    return {key: None if prepared.rare[j] else float(value[0, j]) for key, value in figures.items()}


def _harmonisation(finished: Finished) -> dict[str, Any]:
    """Which ComBat, over which columns; the parameters of the final model, which every hospital has."""
    study, prepared = finished.study, finished.groundwork.prepared
    harmonised, layout = prepared.harmonised, prepared.layout
    if harmonised is None or layout is None:
        return {"method": "none"}
    final = harmonised.parameters[0]
    return {
        "method": study.harmonisation.method,
        "batch": study.harmonisation.batch,
        "settings": study.harmonisation.model_dump(mode="json"),
        "covariates": list(final.covariate_names),
        "groups": list(layout.group_names),
        "left_alone": [name for name, g in zip(layout.feature_names, layout.groups, strict=True) if g < 0],
        "counted_singly": [layout.names[j] for j in layout.incomplete],
        "model": final.to_arrays(),
        "transform": harmonised.transforms[0].to_arrays(),
    }
