"""What a study run found, as results.json (docs/results.md describes every key)."""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from common.query import SMALLEST_CELL
from common.study import Study
from common.variables import INDICATOR
from common.whole_files import AS_THE_UMASK_SAYS, whole
from common.whole_hospitals import trains
from server.evaluation.external import external_of, notes_on_external
from server.evaluation.harmonisation_results import judged_of
from server.evaluation.horizon_results import horizon_of, notes_on_horizon
from server.evaluation.hospitals_results import bootstrap_of, heterogeneity_of, name_of, subgroups_of
from server.evaluation.membership_results import membership_of
from server.evaluation.models_results import models_of
from server.evaluation.network_results import model_of_networks, network_of
from server.evaluation.performance_results import performance_by_class_of, performance_of
from server.evaluation.selection_results import selection_of
from server.evaluation.stability_results import stability_of
from server.evaluation.survival_results import notes_on_survival, survival_of
from server.evaluation.use_results import comparisons_of, parts_of, usefulness_of
from server.hospitals import Transport
from server.methods.pipeline import Prepared
from server.notes import (
    notes_on_dimension,
    notes_on_folds,
    notes_on_harmonisation,
    notes_on_hospitals,
)
from server.small_cells import events_by_site, flow_in_ranges, known_or_none
from server.study_run import QUARTILES, Finished

FORMAT = 1
PACKAGES = ("hepafed", "flwr", "numpy", "scipy", "scikit-learn", "pandas", "pydantic")
ONE_MACHINE = (
    "A simulation on one machine: whoever runs it holds all hospitals' data and keys, and the hospitals' gates run in "
    "the lower profile. Use it with data that may be together there."
)


def results_of(finished: Finished, transport: Transport, engine: str, lower_profile: bool) -> dict[str, Any]:
    """The content of results.json; everything that differs from run to run is under `transport`."""
    study, present = finished.study, finished.present
    return {
        "format": FORMAT,
        "study": {
            "name": study.study,
            "title": study.title,
            "hash": study.hash,
            "content": json.loads(study.to_json()),
        },
        "seed": study.seed,
        "protection": _protection(study, lower_profile),
        "sites": _sites(finished),
        "left_out": {name: code.value for name, code in sorted(present.left_out.items())},
        "lost": [{"hospital": x.hospital, "code": x.code.value, "query": x.query} for x in finished.losses],
        "flow": flow_in_ranges(finished.counted.flow),
        "cohort": _cohort(finished),
        "pipeline": _pipeline(finished),
        "harmonisation": judged_of(finished.judged),
        "stability": stability_of(finished.stable),
        "selection": selection_of(study, finished.selected, finished.splits, finished.models.lines),
        "model": _model(finished),
        "models": models_of(finished),
        "network": network_of(study, finished.models.networks),
        "performance": performance_of(finished),
        "performance_by_class": performance_by_class_of(finished),
        "external": external_of(finished.external, present.disclosed),
        "hospital_name": name_of(study, _sites(finished), _cohort(finished)["events"]),
        "heterogeneity": heterogeneity_of(performance_of(finished), survival_of(finished)),
        "bootstrap": bootstrap_of(study, finished.drawn, "auc"),
        "subgroups": subgroups_of(study, finished.subgroups),
        "membership": membership_of(finished),
        "survival": survival_of(finished),
        "horizon": horizon_of(finished),
        "usefulness": usefulness_of(study, finished.use, finished.discrimination),
        "comparisons": comparisons_of(finished.use),
        "parts": parts_of(finished.use),
        "exchanges": _exchanges(finished),
        "notes": [
            *([finished.judged.sentence] if finished.judged else []),
            *present.notes,
            *(finished.stable.notes if finished.stable else ()),
            *finished.prepared.notes,
            *finished.leaks,
            *(finished.selected.notes if finished.selected else ()),
            *notes_on_harmonisation(finished),
            *notes_on_dimension(finished),
            *(finished.models.networks.notes if finished.models.networks else ()),
            *notes_on_folds(finished),
            *notes_on_hospitals(finished),
            *notes_on_external(finished.external),
            *notes_on_survival(finished),
            *notes_on_horizon(finished),
            *finished.notes,
        ],
        "versions": {package: version(package) for package in PACKAGES},
        "transport": {"engine": engine, **asdict(transport)},
    }


def _protection(study: Study, lower_profile: bool) -> dict[str, Any]:
    """What kept the hospitals' own sums from the coordinator, and what did not."""
    said = []
    if lower_profile:
        said.append(ONE_MACHINE)
    if not study.privacy.secure_sum:
        said.append("The sums were not masked (privacy.secure_sum: false).")
    return {
        "secure_sums": study.privacy.secure_sum,
        "gate": not lower_profile,
        "lower_profile": lower_profile,
        "statement": " ".join(said) or "Sums were masked, and every hospital's gate checked every answer.",
    }


def write_results(results: dict[str, Any], path: Path) -> None:
    """Write results.json so that it is there whole or not at all."""
    text = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with whole(path, AS_THE_UMASK_SAYS) as file:
        file.write(text)


def _sites(finished: Finished) -> dict[str, Any]:
    disclosed = finished.present.disclosed
    events = events_by_site(disclosed, finished.roster)
    return {
        name: {
            "patients": disclosed[name].patients,
            "events": events[name],
            "missing": dict(sorted(disclosed[name].missing.items())),
            "scanners": list(disclosed[name].scanners),
            "medians": dict(sorted(disclosed[name].medians.items())),
            "fingerprint": dict(sorted(disclosed[name].fingerprint.items())),
            "in_final_roster": name in finished.roster,
        }
        for name in finished.present.roster
    }


def _known(finished: Finished, j: int) -> int | None:
    """How many patients have a value in a column, unless one to four missing ones would follow from it."""
    name = finished.prepared.columns[j]
    source = name.partition("=")[0] if name.partition("=")[0] in finished.study.predictors.clinical else name
    missing = [
        finished.present.disclosed[h].missing.get(source, 0) for h in finished.roster if trains(finished.study, h)
    ]
    if name.endswith(INDICATOR):
        missing = []
    patients = finished.apparent.patients
    return known_or_none(int(finished.prepared.known[0, j]), patients, missing)


def _cohort(finished: Finished) -> dict[str, Any]:
    study, prepared = finished.study, finished.prepared
    apparent = finished.apparent
    variables = {}
    for row, name in enumerate(finished.quartile_columns):
        variable = study.variable(name)
        j = prepared.columns.index(name)
        variables[name] = {
            "label": study.label(name),
            "unit": variable.unit,
            "transform": variable.transform,
            "known": _known(finished, j),
            "quartiles": dict(
                zip((f"{q:g}" for q in QUARTILES), map(float, finished.quartiles[row]), strict=True)
            ),
        }
    for j, name in enumerate(prepared.columns):
        source, _, level = name.partition("=")
        if source in study.predictors.clinical and source not in variables and ":" not in name:
            entry = variables.setdefault(name, {"label": f"{study.label(source)}{' ' + level if level else ''}"})
            carriers = round(float(prepared.carriers[0, j]))
            others = int(prepared.known[0, j]) - carriers
            entry["known"] = _known(finished, j)
            few = prepared.rare[j] or min(carriers, others) < SMALLEST_CELL
            entry["carriers"] = None if few else carriers
    return {"patients": apparent.patients, "events": apparent.events, "variables": variables}


def _pipeline(finished: Finished) -> dict[str, Any]:
    prepared, study = finished.prepared, finished.study
    return {
        "imputation": study.imputation.model_dump(),
        "harmonisation": _harmonisation(finished),
        "columns": {
            name: {
                "known": _known(finished, j),
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
    study, harmonised, layout = finished.study, finished.prepared.harmonised, finished.prepared.layout
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


def _model(finished: Finished) -> dict[str, Any]:
    if finished.models.networks is not None:
        return model_of_networks(finished.models.networks)
    columns, fitted, study = finished.prepared.columns, finished.models.first, finished.study
    return {
        "kind": study.model.kind,
        "penalty": study.model.penalty,
        "strength": float(finished.models.by_name[""].strength[0]),
        "intercept": float(fitted.original[0, 0]),
        "coefficients": dict(zip(columns, map(float, fitted.original[0, 1:]), strict=True)),
        "standardised": dict(zip(columns, map(float, fitted.standardised[0, 1:]), strict=True)),
        "standard_errors": _standard_errors(finished),
        "log_likelihood": float(fitted.optimum.likelihood[0]),
        "rounds": fitted.optimum.rounds,
        "by_split": {
            split: {
                "intercept": float(fitted.original[k, 0]),
                "coefficients": dict(zip(columns, map(float, fitted.original[k, 1:]), strict=True)),
            }
            for k, split in enumerate(finished.splits)
        },
    }


def _standard_errors(finished: Finished) -> dict[str, float] | None:
    """Wald errors of the coefficients in their own units; a penalised or weighted fit has none that mean anything."""
    if finished.study.model.penalty != "none" or finished.horizon:
        return None
    prepared, fits = finished.prepared, finished.models.first.optimum
    variance = np.diag(np.linalg.inv(fits.hessian[0]))[fits.family.intercepts :]
    used = fits.problems[0].columns
    return {
        prepared.columns[j]: float(np.sqrt(v) / prepared.spread[0, j]) for j, v in zip(used, variance, strict=True)
    }


def _exchanges(finished: Finished) -> dict[str, Any]:
    record = finished.record
    return {
        "rounds": len(record) + 1,
        "bytes_up_per_site": {
            name: finished.present.bytes_up[name] + sum(asked.bytes_up[name] for asked in record)
            for name in finished.roster
        },
        "bytes_down_per_site": sum(asked.bytes_down for asked in record),
        "asked": [
            {
                "query": asked.query,
                "class": asked.disclosure,
                "splits": asked.splits,
                "sums": asked.arrays,
                "largest_answer_bytes": max(asked.bytes_up.values()),
            }
            for asked in record
        ],
    }
