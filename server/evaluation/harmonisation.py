"""Did harmonisation help? Judged on patients whom each fold holds out, by parameters fitted without them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.dimension import columns_allowed
from common.query import FEWEST_HOSPITALS, SMALLEST_CELL, Disclosed
from common.room import Room
from common.splits import FINAL, INNER
from common.study import Study
from common.whole_hospitals import trains
from harmonization.advice import Advice, advice, evidence
from harmonization.biology import kept
from server.evaluation.hospital_effect import (
    Found,
    Question,
    ask_about_effects,
    ask_about_pairs,
    standardised,
)
from server.federation import FlowerFederation
from server.methods.combat import Harmonised
from server.methods.layout import Layout, expanded_covariates
from server.methods.pipeline import Prepared

FEWEST_HELD_OUT = 30
EXCHANGES = 6
"""As many questions at most."""


@dataclass(frozen=True)
class Judged:
    """What held-out patients say of harmonisation, and the advice that follows; found is None where nobody was asked.

    `features`: those that harmonisation changed and that have no gaps; `covariates`: whose t is watched, the
    outcome last; `adjusted_for`: what the analysis of variance adjusts for.
    """

    advice: Advice | None
    reason: str
    found: Found | None = None
    features: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    adjusted_for: tuple[str, ...] = ()
    folds: int = 0
    patients: int = 0
    kept: float = 1.0

    @property
    def sentence(self) -> str:
        """The advice, or why there is none."""
        return self.advice.sentence if self.advice else self.reason


def judge_harmonisation(
    federation: FlowerFederation,
    study: Study,
    prepared: Prepared,
    disclosed: Mapping[str, Disclosed],
    room: Room,
) -> Judged | None:
    """Ask about the hospital effect before and after; None where nothing was harmonised."""
    harmonised, layout = prepared.harmonised, prepared.layout
    if harmonised is None or layout is None:
        return None
    question = _question(federation, study, prepared, harmonised, layout, disclosed)
    if isinstance(question, str):
        return Judged(advice=None, reason=f"Whether harmonisation helped was not judged: {question}.")
    try:
        found, total = ask_about_effects(federation, question)
    except ValueError as impossible:  # covariates that stand for the hospitals
        return Judged(advice=None, reason=f"Whether harmonisation helped could not be judged: {impossible}.")
    offset = prepared.centre[0, list(question.features)]
    pairs = None
    if room.contributing("retest") >= FEWEST_HOSPITALS:
        pairs = ask_about_pairs(federation, question, total, harmonised.before, harmonised.view, offset)
    found = replace(found, pairs=pairs)
    share = kept(found.before.t, found.after.t)
    outcome = study.outcome_columns()[-1:] if question.outcome else []
    return Judged(
        advice=advice(
            evidence(found.before.location, found.before.spread),
            evidence(found.after.location, found.after.spread),
            share,
        ),
        reason="",
        found=found,
        features=tuple(prepared.design[j] for j in question.features),
        covariates=(*_expanded(layout, question.preserved), *outcome),
        adjusted_for=tuple(prepared.design[j] for j in question.adjusting),
        folds=len(question.splits),
        patients=sum(question.held_out),
        kept=share,
    )


def _question(
    federation: FlowerFederation,
    study: Study,
    prepared: Prepared,
    harmonised: Harmonised,
    layout: Layout,
    disclosed: Mapping[str, Disclosed],
) -> Question | str:
    """What may be asked, or in words why nothing may."""
    splits = tuple(split for split in federation.splits if split.startswith("kfold/0/") and INNER not in split)
    if not splits:
        return "the study has no folds, and on the patients that were fitted nothing is left to see"
    numbers = [federation.splits.index(split) for split in splits]
    held_out = prepared.rows[federation.splits.index(FINAL)] - prepared.rows[numbers]
    smallest = int(held_out.min())
    if smallest < FEWEST_HELD_OUT:
        return (
            f"a fold holds out {smallest} patients in total, and sums over fewer than {FEWEST_HELD_OUT} are not asked "
            "for; take fewer folds"
        )
    changed = {j for j, group in zip(layout.harmonised_features, layout.groups, strict=True) if group >= 0}
    features = tuple(j for j in layout.features if j in changed and prepared.spread[0, j] > 0)
    if not features:
        return "harmonisation changes no feature without gaps"
    carriers = prepared.carriers[0] - prepared.carriers[numbers]
    preserved = [
        j for j in layout.covariates if not _rare(study, prepared, j, prepared.carriers[:1], held_out.sum())
    ]
    adjusting = [j for j in layout.covariates if not _rare(study, prepared, j, carriers, held_out)]
    allowed = columns_allowed(smallest)
    if len(_expanded(layout, preserved)) + 1 > allowed:
        return f"{len(_expanded(layout, preserved))} covariates are too many for folds of {smallest} patients"
    on_roster = [disclosed[name] for name in federation.roster if trains(study, name)]
    events = sum(figures.events or 0 for figures in on_roster)
    others = sum((f.patients or 0) - f.events for f in on_roster if f.events is not None)
    parents = (harmonised.before, harmonised.view)
    views = [federation.keep(standardised(prepared, features, v, splits)) for v in parents]
    return Question(
        splits=splits,
        held_out=tuple(int(n) for n in held_out),
        features=features,
        adjusting=tuple(adjusting),
        preserved=tuple(preserved),
        outcome=study.outcome.kind != "multiclass" and min(events, others) >= SMALLEST_CELL,
        smooth=layout.smooth,
        hospital_patients=tuple(figures.patients or 0 for figures in on_roster),
        before=views[0],
        after=views[1],
    )


def _rare(study: Study, prepared: Prepared, j: int, carriers: np.ndarray, rows: np.ndarray) -> bool:
    """Whether a 0/1 column has fewer than five carriers, or others, in some row set."""
    name = prepared.design[j]
    if "=" not in name and study.variable(name).type != "binary":
        return False
    own = carriers[:, j]
    return bool((np.minimum(own, rows - own) < SMALLEST_CELL - 1e-6).any())


def _expanded(layout: Layout, covariates: list[int] | tuple[int, ...]) -> tuple[str, ...]:
    """The names of some covariates, each part of a smooth one by itself."""
    chosen = {str(j) for j in covariates}
    smooth = {number: term for number, term in layout.smooth.items() if number in chosen}
    return expanded_covariates(replace(layout, covariates=tuple(covariates), smooth=smooth))[0]
