"""What a study run found, as results.json (docs/results.md describes every key)."""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from common.query import SMALLEST_CELL
from common.splits import APPARENT, LEAVE_ONE_HOSPITAL_OUT
from server.evaluation.calibration import Calibration
from server.evaluation.discrimination import Discrimination, Estimate
from server.hospitals import Transport
from server.notes import is_transductive, notes_on_dimension, notes_on_harmonisation
from server.study_run import QUARTILES, Finished

FORMAT = 1
PACKAGES = ("hepafed", "flwr", "numpy", "scipy", "scikit-learn", "pandas", "pydantic")
NOT_YET_PROTECTED = (
    "Not yet protected: this version computes sums without masks and without the hospitals' gate. Use it on one "
    "machine, with data that may be together there."
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
        "protection": {
            "secure_sums": False,
            "gate": False,
            "lower_profile": lower_profile,
            "statement": NOT_YET_PROTECTED,
        },
        "sites": {name: _site(finished, name) for name in present.roster},
        "left_out": {name: code.value for name, code in sorted(present.left_out.items())},
        "lost": [{"hospital": x.hospital, "code": x.code.value, "query": x.query} for x in finished.losses],
        "flow": present.flow,
        "cohort": _cohort(finished),
        "pipeline": _pipeline(finished),
        "model": _model(finished),
        "performance": _performance(finished),
        "exchanges": _exchanges(finished),
        "notes": [
            *present.notes,
            *finished.prepared.notes,
            *notes_on_harmonisation(finished),
            *notes_on_dimension(finished),
        ],
        "versions": {package: version(package) for package in PACKAGES},
        "transport": {"engine": engine, **asdict(transport)},
    }


def write_results(results: dict[str, Any], path: Path) -> None:
    """Write results.json so that it is there whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _site(finished: Finished, name: str) -> dict[str, Any]:
    figures = finished.present.disclosed[name]
    return {
        "patients": figures.patients,
        "events": figures.events,
        "missing": dict(sorted(figures.missing.items())),
        "scanners": list(figures.scanners),
        "medians": dict(sorted(figures.medians.items())),
        "fingerprint": dict(sorted(figures.fingerprint.items())),
        "in_final_roster": name in finished.roster,
    }


def _cohort(finished: Finished) -> dict[str, Any]:
    study, prepared = finished.study, finished.prepared
    apparent = finished.discrimination[APPARENT]
    variables = {}
    for row, name in enumerate(finished.quartile_columns):
        variable = study.variable(name)
        j = prepared.columns.index(name)
        variables[name] = {
            "label": study.label(name),
            "unit": variable.unit,
            "transform": variable.transform,
            "known": int(prepared.known[0, j]),
            "quartiles": dict(
                zip((f"{q:g}" for q in QUARTILES), map(float, finished.quartiles[row]), strict=True)
            ),
        }
    for j, name in enumerate(prepared.columns):
        source, _, level = name.partition("=")
        if source in study.predictors.clinical and source not in variables and ":" not in name:
            entry = variables.setdefault(name, {"label": f"{study.label(source)}{' ' + level if level else ''}"})
            carriers = round(float(prepared.fill[0, j] * prepared.known[0, j]))
            others = int(prepared.known[0, j]) - carriers
            entry["known"] = int(prepared.known[0, j])
            entry["carriers"] = carriers if min(carriers, others) >= SMALLEST_CELL else None
    return {"patients": apparent.patients, "events": apparent.events, "variables": variables}


def _pipeline(finished: Finished) -> dict[str, Any]:
    prepared, study = finished.prepared, finished.study
    return {
        "imputation": study.imputation.model_dump(),
        "harmonisation": _harmonisation(finished),
        "columns": {
            name: {
                "known": int(prepared.known[0, j]),
                "fill": float(prepared.fill[0, j]),
                "centre": float(prepared.centre[0, j]),
                "spread": float(prepared.spread[0, j]),
                "used": bool(prepared.used[0, j]),
            }
            for j, name in enumerate(prepared.columns)
        },
    }


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
    columns, fitted, study = finished.prepared.columns, finished.fitted, finished.study
    return {
        "kind": study.model.kind,
        "penalty": study.model.penalty,
        "strength": study.model.strength,
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
    """Wald errors of the coefficients in their own units; a penalised fit has none that mean anything."""
    if finished.study.model.penalty != "none":
        return None
    prepared, hessian = finished.prepared, finished.fitted.optimum.hessian[0]
    free = np.flatnonzero(np.concatenate([[True], prepared.used[0]]))
    variance = np.diag(np.linalg.inv(hessian[np.ix_(free, free)]))[1:]
    used = free[1:] - 1
    return {
        prepared.columns[j]: float(np.sqrt(v) / prepared.spread[0, j]) for j, v in zip(used, variance, strict=True)
    }


def _performance(finished: Finished) -> dict[str, Any]:
    """One entry a scheme; the repeats of a k-fold are averaged."""
    schemes: dict[str, list[str]] = {}
    for scheme in finished.discrimination:
        schemes.setdefault(scheme.partition("/")[0], []).append(scheme)
    return {
        name: {"transductive": name == LEAVE_ONE_HOSPITAL_OUT and is_transductive(finished.study)}
        | _scheme([finished.discrimination[r] for r in repeats], [finished.calibration[r] for r in repeats])
        for name, repeats in schemes.items()
    }


def _scheme(repeats: list[Discrimination], calibrations: list[Calibration]) -> dict[str, Any]:
    first = repeats[0]
    auc = _estimate([r.overall for r in repeats])
    auc["certified_low"] = float(np.mean([r.certified[0] for r in repeats]))
    auc["certified_high"] = float(np.mean([r.certified[1] for r in repeats]))
    auc["bins"] = min(r.bins for r in repeats)
    return {
        "patients": first.patients,
        "events": first.events,
        "repeats": len(repeats),
        "overall": {
            "auc": auc,
            "brier": float(np.mean([r.brier for r in repeats])),
            "calibration": {
                "intercept": _triple([c.intercept for c in calibrations]),
                "slope": _triple([c.slope for c in calibrations]),
                "observed_to_expected": float(np.mean([r.observed_to_expected for r in repeats])),
            },
        },
        "within_sites": {"auc": _estimate([r.within_sites for r in repeats])},
        "by_site": {
            name: {
                "auc": _estimate([r.by_site[name] for r in repeats]),
                "calibration": _own_calibration([r.calibration_by_site[name] for r in repeats]),
            }
            for name in first.by_site
        },
        "roc": [list(point) for point in first.roc],
        "calibration_curve": [
            {"predicted": predicted, "observed": observed, "patients": patients}
            for predicted, observed, patients in first.curve
        ],
    }


def _estimate(repeats: list[Estimate]) -> dict[str, Any]:
    """The mean over repeats of estimate and limits; the repeats judge the same patients, so no error shrinks."""
    if any(r.value is None for r in repeats):
        return {"value": None, "low": None, "high": None, "standard_error": None}
    keys = ("value", "low", "high", "standard_error")
    return {key: float(np.mean([getattr(r, key) for r in repeats])) for key in keys}


def _triple(repeats: list[tuple[float, float, float] | None]) -> dict[str, float | None]:
    known = [r for r in repeats if r is not None]
    if len(known) < len(repeats):
        return {"value": None, "low": None, "high": None}
    return dict(zip(("value", "low", "high"), map(float, np.mean(known, axis=0)), strict=True))


def _own_calibration(repeats: list[tuple[float, float] | None]) -> dict[str, float | None]:
    known = [r for r in repeats if r is not None]
    if len(known) < len(repeats):
        return {"slope": None, "intercept": None}
    slope, intercept = np.mean(known, axis=0)
    return {"slope": float(slope), "intercept": float(intercept)}


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
