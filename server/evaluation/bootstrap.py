"""Intervals of AUCs for hospitals like these: the hospitals, not the patients, are drawn anew (Bayesian bootstrap).

To first order an AUC over hospitals drawn with weights w is AUC + Σ_h (w_h − 1) S_h, where S_h is hospital h's part:
the sum of its patients' placements about the AUC (DeLong; Obuchowski 1997, doi:10.2307/2533958), or of its won pairs.
Each hospital draws its own w ~ Exp(1) (Rubin 1981, doi:10.1214/aos/1176345338), anew for every figure, and keeps them.
Patients of a hospital stay together, so that what they share counts; patients are not drawn as well, S_h holds that
spread already. The percentiles are moved out by √(H/(H − 1)) · t_{H−1}/z, since few hospitals show too little spread
(Hesterberg 2015, doi:10.1080/00031305.2015.1089789). Of H hospitals that are alike the error is DeLong's on average,
itself uncertain by about 1/√(2(H − 1)).

Round: one. What leaves: one number a draw and figure, as a masked total. Histograms a draw would leave too much: the
roll call's numbers of patients tell the weights behind a total, and a few hundred such totals every hospital's own
histogram. One number a draw with secret, continuous weights tells the spread of the hospitals' parts, not whose.
Approximate: linear in the weights; exact for the centre. Mirrored by client/queries/bootstrap.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from scipy.stats import t

from common.splits import APPARENT, Label
from common.study import Study
from common.whole_hospitals import is_judged
from server.evaluation.discrimination import NORMAL_95, NOT_ESTIMABLE, Discrimination, Estimate
from server.evaluation.repeats import without_repeat
from server.federation import FlowerFederation

EXCHANGES = 1


class Figures(Protocol):
    """A figure of one evaluated model, overall and within hospitals, and the pairs behind the latter."""

    @property
    def overall(self) -> Estimate: ...
    @property
    def within_sites(self) -> Estimate: ...
    @property
    def pairs(self) -> float: ...


Judged = TypeVar("Judged", bound=Figures)


@dataclass(frozen=True)
class Drawn:
    """Intervals of one evaluated model."""

    overall: Estimate
    within_sites: Estimate


def draw_hospitals(
    federation: FlowerFederation, study: Study, view: str, found: dict[str, Discrimination]
) -> dict[str, Drawn]:
    """Intervals of every held-out AUC, the repeats of a k-fold together; none where the study asks for none."""
    found = drawable(study, found)
    arrays = {
        "edges": np.array([judged.edges for judged in found.values()]),
        "classes": np.array([judged.histogram for judged in found.values()]),
    }
    return drawn_of(federation, study, view, found, "bootstrap", {}, arrays)


def drawable(study: Study, found: Mapping[str, Judged]) -> dict[str, Judged]:
    """Whatever intervals are drawn for: held out and estimable; nothing where the study asks for none."""
    if not study.validation.bootstrap:
        return {}
    held_out = {label: judged for label, judged in found.items() if Label.read(label).scheme != APPARENT}
    return {label: judged for label, judged in held_out.items() if judged.overall.value is not None}


def drawn_of(
    federation: FlowerFederation,
    study: Study,
    view: str,
    found: Mapping[str, Figures],
    query: str,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> dict[str, Drawn]:
    """Intervals of what is drawable, the repeats of a k-fold together.

    Parameters
    ----------
    parameters, arrays
        What the query is told beside labels, groups, draws and figures within hospitals.
    """
    labels = list(found)
    if not labels:
        return {}
    names = list(dict.fromkeys(without_repeat(label) for label in labels))
    groups = [names.index(without_repeat(label)) for label in labels]
    asked = {"schemes": labels, "groups": groups, "replicates": study.validation.bootstrap}
    within = np.array([(found[k].within_sites.value or 0.0, found[k].pairs) for k in labels])
    draws = federation.ask(
        query,
        view=view,
        rows="held_out",
        parameters={**asked, **parameters},
        arrays={**arrays, "within": within},
    ).sums["draws"]
    drawn = {}
    for number, name in enumerate(names):
        hospitals = sum(is_judged(study, Label.read(name).scheme, h) for h in federation.roster)
        repeats = [found[label] for label, group in zip(labels, groups, strict=True) if group == number]
        drawn[name] = Drawn(
            overall=interval([r.overall.value for r in repeats], draws[number, 0], hospitals),
            within_sites=interval([r.within_sites.value for r in repeats], draws[number, 1], hospitals),
        )
    return drawn


def interval(values: list[float | None], draws: np.ndarray, hospitals: int) -> Estimate:
    """The percentile interval of a figure (of repeats: their mean), moved out for few hospitals."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return NOT_ESTIMABLE
    value, small = float(np.mean(known)), np.sqrt(hospitals / (hospitals - 1))
    low, high = np.quantile(draws, [0.025, 0.975]) * small * t.ppf(0.975, hospitals - 1) / NORMAL_95
    return Estimate(value, float(max(0.0, value + low)), float(min(1.0, value + high)), float(draws.std() * small))
