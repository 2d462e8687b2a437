"""What a private study found, as results.json (docs/differential-privacy.md describes every key)."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from common.networks.settings import Network
from common.privacy_plan import (
    SHARES,
    clip_of,
    epsilon_of,
    noise_of_gradient,
    noise_of_histograms,
    noise_of_moments,
    share_of_noise,
    squared_budget,
    times_of,
)
from common.splits import APPARENT
from server.evaluation.private_discrimination import PrivatelyJudged
from server.evaluation.repeats import kind_of
from server.hospitals import Transport
from server.private_run import FinishedPrivately, PrivateModel
from server.results.network import without_coefficients
from server.results.results_json import FORMAT, ONE_MACHINE, PACKAGES, study_of

UNIT = (
    "One patient of a hospital: what is released is nearly the same whether that patient's record is there or is "
    "blanked. Numbers of patients are public, and so is that a patient is in the cohort."
)
MECHANISM = (
    "Gaussian mechanism: patients' contributions of bounded length are summed under masks, and every hospital adds its "
    "share of discrete Gaussian noise before it masks, drawn from its operating system's random source."
)


def private_results_of(
    finished: FinishedPrivately, transport: Transport, engine: str, lower_profile: bool
) -> dict[str, Any]:
    """The content of results.json; everything that differs from run to run is noise, or under `transport`."""
    study, present = finished.study, finished.present
    return {
        "format": FORMAT,
        "study": study_of(study),
        "seed": study.seed,
        "protection": {
            "secure_sums": True,
            "gate": not lower_profile,
            "lower_profile": lower_profile,
            "statement": ONE_MACHINE
            if lower_profile
            else "Every total carries noise, and every answer passed a gate.",
        },
        "privacy": _privacy(finished),
        "sites": {
            name: {"patients": figures.patients, "fingerprint": dict(sorted(figures.fingerprint.items()))}
            for name, figures in sorted(present.disclosed.items())
        },
        "left_out": {name: code.value for name, code in sorted(present.left_out.items())},
        "lost": [],
        "cohort": {"patients": finished.patients},
        "pipeline": _pipeline(finished.model),
        "model": _model(finished, finished.model),
        "performance": _performance(finished.model),
        "without_noise": _without_noise(finished),
        "exchanges": _exchanges(finished),
        "notes": [*present.notes, *_notes(finished)],
        "versions": {package: version(package) for package in (*PACKAGES, "dp-accounting")},
        "transport": {"engine": engine, **asdict(transport)},
    }


def _privacy(finished: FinishedPrivately) -> dict[str, Any]:
    study, columns = finished.study, len(finished.model.prepared.columns)
    private, roster = study.privacy.differential, finished.present.roster
    assert private is not None
    return {
        "epsilon": private.epsilon,
        "delta": private.delta,
        "epsilon_spent": epsilon_of(squared_budget(study), private.delta),
        "unit": UNIT,
        "mechanism": MECHANISM,
        "clip": clip_of(study, columns),
        "iterations": times_of(study, "private_gradient"),
        "share_of_each_hospital": share_of_noise(roster),
        "questions": {
            name: {"share": share, "times": times_of(study, name), "noise": _noise(finished, name)}
            for name, share in SHARES.items()
        },
        "predicted": {
            "auc_without_noise": finished.cost.without,
            "auc_with_noise": finished.cost.with_noise,
            "pointless": finished.cost.pointless,
        },
        "forced": private.force,
    }


def _noise(finished: FinishedPrivately, name: str) -> dict[str, float]:
    """Standard deviation of the noise in one total."""
    study, columns = finished.study, len(finished.model.prepared.columns)
    if name == "private_gradient":
        return {split: noise_of_gradient(study, split, columns) for split in finished.splits}
    return {"all": noise_of_moments(study, columns) if name == "private_moments" else noise_of_histograms(study)}


def _pipeline(model: PrivateModel) -> dict[str, Any]:
    prepared = model.prepared
    half = (prepared.high - prepared.low) / 2
    return {
        "columns": {
            name: {
                "low": float(prepared.low[j]),
                "high": float(prepared.high[j]),
                "fill": float((prepared.low[j] + prepared.high[j]) / 2),
                "centre": float((prepared.low[j] + prepared.high[j]) / 2 + prepared.centre[j] * half[j]),
                "spread": float(prepared.spread[j] * half[j]),
            }
            for j, name in enumerate(prepared.columns)
        }
    }


def _model(finished: FinishedPrivately, model: PrivateModel) -> dict[str, Any]:
    columns, study = model.prepared.columns, finished.study
    if study.network is not None:
        return _network(study.network, model)
    own = model.prepared.in_own_units(model.fitted)

    def named(row: np.ndarray) -> dict[str, float]:
        return dict(zip(columns, map(float, row), strict=True))

    return {
        "kind": study.model.kind,
        "penalty": study.model.penalty,
        "strength": study.model.strength,
        "intercept": float(own[0, 0]),
        "coefficients": named(own[0, 1:]),
        "standardised": named(model.fitted[0, 1:]),
        "by_split": {
            split: {"intercept": float(own[k, 0]), "coefficients": named(own[k, 1:])}
            for k, split in enumerate(finished.splits)
        },
    }


def _network(settings: Network, model: PrivateModel) -> dict[str, Any]:
    return without_coefficients() | {
        "hidden": settings.hidden,
        "weights": [float(weight) for weight in model.fitted[0]],
    }


def _performance(model: PrivateModel) -> dict[str, Any]:
    """One entry a scheme; the repeats of a k-fold are averaged."""
    schemes: dict[str, list[PrivatelyJudged]] = {}
    for scheme, judged in model.judged.items():
        schemes.setdefault(kind_of(scheme), []).append(judged)
    return {name: _scheme(repeats) for name, repeats in schemes.items()}


def _scheme(repeats: list[PrivatelyJudged]) -> dict[str, Any]:
    def mean(name: str) -> float | None:
        values = [getattr(judged, name) for judged in repeats]
        return None if any(v is None for v in values) else float(np.mean(values))

    return {
        "repeats": len(repeats),
        "auc": {
            "value": mean("auc"),
            "low": mean("low"),
            "high": mean("high"),
            "sampling_error": mean("sampling_error"),
            "noise_error": mean("noise_error"),
        },
        "events_share": mean("events_share"),
        "brier": mean("brier"),
        "calibration_curve": [{"predicted": p, "observed": o} for p, o in repeats[0].curve],
    }


def _without_noise(finished: FinishedPrivately) -> dict[str, Any] | None:
    """The same study without noise, in simulations: nothing of it is private."""
    if finished.without_noise is None:
        return None
    return {"performance": _performance(finished.without_noise), "model": _model(finished, finished.without_noise)}


def _exchanges(finished: FinishedPrivately) -> dict[str, Any]:
    record, present = finished.record, finished.present
    return {
        "rounds": len(record) + 1,
        "bytes_up_per_site": {
            name: present.bytes_up[name] + sum(asked.bytes_up[name] for asked in record) for name in present.roster
        },
        "bytes_down_per_site": sum(asked.bytes_down for asked in record),
        "asked": [{"query": asked.query, "splits": asked.splits, "sums": asked.arrays} for asked in record],
    }


def _notes(finished: FinishedPrivately) -> list[str]:
    """What a reader must know before believing a result."""
    study, cost = finished.study, finished.cost
    private = study.privacy.differential
    assert private is not None
    notes = [
        f"Differential privacy: ε = {private.epsilon:g}, δ = {private.delta:g} for everything below but numbers of "
        "patients. Replacing a patient by another, rather than blanking the record, counts as twice the ε.",
        f"From public numbers alone, a usual model was expected to reach an AUC of {cost.with_noise:.2f} with this "
        f"noise and {cost.without:.2f} without.",
        f"{'Weights' if study.network else 'Coefficients'} carry noise and have no standard errors; predicted risks "
        "are often too extreme: recalibrate before any use of the risks themselves.",
    ]
    if study.network is not None:
        notes.append("That expectation is of a logistic model with the same budget; a network has more to learn.")
    if cost.pointless:
        notes.append(
            "The noise was expected to make the study pointless; it ran because the study says force: true."
        )
    if study.validation.folds:
        notes.append(
            "The models of the folds carry more noise than the final one, since a patient is in several of them: their "
            "AUC is too low for the final model, and the apparent one is too high by less than usual."
        )
    notes += _on_noise(finished)
    if finished.without_noise is not None:
        notes.append(
            "Beside it, on this one machine, the same study ran without noise, to show what privacy cost; those "
            "figures are not private and must stay where the data are."
        )
    return notes


def _on_noise(finished: FinishedPrivately) -> list[str]:
    """Where the noise of an AUC is larger than its sampling error."""
    notes = []
    for scheme, found in _performance(finished.model).items():
        auc = found["auc"]
        if auc["value"] is None:
            notes.append(f"{scheme}: the noise leaves no AUC to estimate.")
        elif auc["noise_error"] > auc["sampling_error"]:
            notes.append(
                f"{'The final model on its own patients' if scheme == APPARENT else scheme}: the AUC's error from "
                f"noise ({auc['noise_error']:.3f}) is larger than that from sampling ({auc['sampling_error']:.3f})."
            )
    return notes
