"""How well the models predict, as results.json says it (docs/results.md describes every key)."""

from typing import Any

import numpy as np

from common.splits import LEAVE_ONE_HOSPITAL_OUT, Label
from common.whole_hospitals import EXTERNAL, LEAVE_GROUP_OUT, is_judged
from server.evaluation.calibration import Calibration
from server.evaluation.discrimination import Discrimination
from server.evaluation.repeats import kind_of, mean_of
from server.finished import Finished
from server.results.notes import is_transductive

WITHOUT_THE_HOSPITAL = (LEAVE_ONE_HOSPITAL_OUT, LEAVE_GROUP_OUT, EXTERNAL)
"""Schemes that judge patients by a model fitted without their hospital."""


def performance_of(finished: Finished, model: str = "", level: str | None = None) -> dict[str, Any]:
    """One entry a scheme, by one of the study's models; repeats of a k-fold are averaged, and so are classes.

    Parameters
    ----------
    level
        One class alone; None: all, averaged (one against the others; ordinal: from this class on against below).
    """
    entries: dict[str, list[str]] = {}
    for label in finished.evaluated.discrimination:
        read = Label.read(label)
        if read.model == model and level in (None, read.level):
            entries.setdefault(kind_of(read.scheme), []).append(label)
    return {
        name: {"transductive": name in WITHOUT_THE_HOSPITAL and is_transductive(finished)}
        | _scheme(
            [finished.evaluated.discrimination[r] for r in labels],
            [finished.evaluated.calibration[r] for r in labels],
            len({Label.read(r).level for r in labels}),
            [hospital for hospital in finished.roster if is_judged(finished.study, name, hospital)],
        )
        for name, labels in entries.items()
    }


def performance_by_class_of(finished: Finished) -> dict[str, Any]:
    """The first model's performance for every class; nothing where the outcome has one."""
    levels = dict.fromkeys(Label.read(label).level for label in finished.evaluated.discrimination)
    return {level: performance_of(finished, level=level) for level in levels if level}


def _scheme(
    repeats: list[Discrimination], calibrations: list[Calibration], classes: int, hospitals: list[str]
) -> dict[str, Any]:
    """Means over repeats and classes; curves are of the first repeat, and of one class alone."""
    first = repeats[0]
    in_clear = repeats[:classes]  # hospitals say their own figures of one repeat alone
    auc = mean_of([r.overall for r in repeats])
    auc["certified_low"] = float(np.mean([r.certified[0] for r in repeats]))
    auc["certified_high"] = float(np.mean([r.certified[1] for r in repeats]))
    auc["bins"] = min(r.bins for r in repeats)
    return {
        "patients": first.patients,
        "events": first.events,
        "repeats": len(repeats) // classes,
        "overall": {
            "auc": auc,
            "brier": float(np.mean([r.brier for r in repeats])),
            "calibration": {
                "intercept": _triple([c.intercept for c in calibrations]),
                "slope": _triple([c.slope for c in calibrations]),
                "observed_to_expected": float(np.mean([r.observed_to_expected for r in repeats])),
            },
        },
        "within_sites": {"auc": mean_of([r.within_sites for r in repeats])},
        "by_site": {
            name: {
                "auc": mean_of([r.by_site[name] for r in in_clear]),
                "calibration": _own_calibration([r.calibration_by_site[name] for r in in_clear]),
            }
            for name in first.by_site
            if name in hospitals
        },
        "roc": [list(point) for point in first.roc] if classes == 1 else [],
        "calibration_curve": [
            {"predicted": predicted, "observed": observed, "patients": patients}
            for predicted, observed, patients in (first.curve if classes == 1 else [])
        ],
    }


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
