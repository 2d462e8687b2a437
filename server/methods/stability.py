"""Stability of features under small changes of image and mask, and between readers: ICC(1,1), from sums.

Formula, degrees of freedom and reasons: harmonization/intraclass.py. Mirrored by client/queries/stability.py. Two
rounds: how many hospitals can tell of each feature, then sums of the features that three hospitals or more can tell
of; less is one hospital's own. What leaves: number of patients and two sums of squares a feature. Exact: equal to
the pooled analysis of variance, patients nested in hospitals.

Features below `features.stability.minimum_icc` are left out once, before folds: no outcome is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.errors import StudyStopped
from common.query import FEWEST_HOSPITALS, View
from common.room import Room
from common.splits import FINAL
from common.stability import Stability
from common.study import Study
from harmonization.intraclass import Intraclass, intraclass
from server.federation import Federation

EXCHANGES = 2
KINDS = {"perturbations": "under perturbation", "readers": "between readers"}


@dataclass(frozen=True)
class Agreement:
    """Repeated measurements of one kind: patients, hospitals and ICC of every feature; NaN where none is known.

    `measurements`: k, the measurements of each patient that are held against each other.
    """

    measurements: int
    patients: np.ndarray
    hospitals: np.ndarray
    found: Intraclass


@dataclass(frozen=True)
class Stable:
    """What repeated measurements say of the features, by kind, and which are left out and why."""

    settings: Stability
    features: tuple[str, ...]
    agreement: dict[str, Agreement]
    left_out: dict[str, str]
    notes: tuple[str, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """The features that studies go on with."""
        return tuple(name for name in self.features if name not in self.left_out)


def measure_stability(
    federation: Federation, study: Study, room: Room, features: tuple[str, ...]
) -> Stable | None:
    """Ask how stable the features are; None where the study does not want to know."""
    settings = study.features.stability if study.features is not None else None
    if settings is None or not features:
        return None
    view = federation.keep(View(step="columns", parameters={"columns": list(features)}))
    counts = federation.ask("stability_counts", view=view, splits=(FINAL,)).sums
    told = {
        kind: np.flatnonzero(np.rint(counts[f"{kind}_hospitals"]) >= FEWEST_HOSPITALS)
        for kind in settings.measurements()
        if room.contributing(kind) >= FEWEST_HOSPITALS
    }
    agreement: dict[str, Agreement] = {}
    if any(len(columns) for columns in told.values()):
        asked: dict[str, Any] = {kind: columns.tolist() for kind, columns in told.items()}
        sums = federation.ask("stability_sums", view=view, splits=(FINAL,), parameters=asked).sums
        for kind, columns in told.items():
            if len(columns):
                k = len(settings.measurements()[kind])
                agreement[kind] = _agreement(sums, kind, columns, len(features), k)
    left_out = _left_out(settings, features, agreement)
    if len(left_out) == len(features):
        raise StudyStopped(
            f"features.stability.minimum_icc: none of the {len(features)} image features reaches "
            f"{settings.minimum_icc:g}: lower it, or look at the masks; the study without image features is another "
            "one (predictors.radiomics)"
        )
    return Stable(settings, features, agreement, left_out, tuple(_notes(settings, features, agreement, left_out)))


def _agreement(sums: dict[str, np.ndarray], kind: str, columns: np.ndarray, width: int, k: int) -> Agreement:
    """Agreement of the features that were asked about; the others are not known."""
    own = {key: sums[f"{kind}_{key}"] for key in ("hospitals", "patients", "between", "within")}
    found = intraclass(own, k)
    return Agreement(
        measurements=k,
        patients=_spread(np.rint(own["patients"]), columns, width, 0.0),
        hospitals=_spread(np.rint(own["hospitals"]), columns, width, 0.0),
        found=Intraclass(*(_spread(v, columns, width, np.nan) for v in (found.icc, found.low, found.high))),
    )


def _spread(values: np.ndarray, columns: np.ndarray, width: int, otherwise: float) -> np.ndarray:
    whole = np.full(width, otherwise)
    whole[columns] = values
    return whole


def _left_out(settings: Stability, features: Sequence[str], agreement: dict[str, Agreement]) -> dict[str, str]:
    """Features whose ICC is below the least, of either kind, with the reason."""
    least = settings.minimum_icc
    if least is None:
        return {}
    reasons: dict[str, str] = {}
    for j, name in enumerate(features):
        low = [
            f"ICC {said.found.icc[j]:.2f} {KINDS[kind]}"
            for kind, said in agreement.items()
            if said.found.icc[j] < least  # NaN is not below: what nobody could measure stays
        ]
        if low:
            reasons[name] = f"{', '.join(low)}: below {least:g}"
    return reasons


def _notes(
    settings: Stability, features: Sequence[str], agreement: dict[str, Agreement], left_out: dict[str, str]
) -> list[str]:
    notes = [
        f"Stability {KINDS[kind]} is not known: fewer than {FEWEST_HOSPITALS} hospitals have ten patients with "
        "repeated measurements"
        for kind in settings.measurements()
        if kind not in agreement
    ]
    if settings.minimum_icc is not None:
        unknown = sum(
            all(np.isnan(said.found.icc[j]) for said in agreement.values()) for j in range(len(features))
        )
        notes.append(
            f"Left out because of an ICC below {settings.minimum_icc:g} (features.stability), before anything was "
            f"fitted and without outcomes: {len(left_out)} of {len(features)} image features"
            + (f"; of {unknown} it is not known, which stay" if unknown else "")
        )
    return notes
