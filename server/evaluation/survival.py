"""How well held-out scores order and predict survival: mirrored by client/queries/survival.py and survival_risk.py.

Harrell's C within hospitals, exact; overall from a table of time by score (server/evaluation/concordance.py), and
Uno's, weighted by the inverse square of being followed so long. At each horizon t, with weights w = 1/G(T) for patients
with the event by t and 1/G(t) for those followed beyond, G the curve of being followed (any other exit ends it):
AUC(t) over weighted cases and controls; Brier(t) = Σ w (1[T ≤ t] − risk)²/n; observed risk Σ w 1[T ≤ t]/Σ w in bins of
predicted risk. Risk groups: each patient by its own fold's cut-offs; log-rank stratified by hospital, exact, and over
all patients on the grid. A competing event counts as the end of follow-up here: risks are those of the cause alone.
Rounds: 2 for the months, 4 for the bins, up to 5 a model, 3 for all labels, of which one counts the groups' patients: a
label in which a group holds one to four is not grouped. What leaves: see client/queries.
G on a grid of months and bins move AUC(t) by less than 0.007, Brier by 0.004 and overall C by 0.012 (tests).
"""

from dataclasses import dataclass

import numpy as np

from common.months import LAST_MONTH
from common.outcomes import SurvivalOutcome
from common.query import SMALLEST_CELL, SMALLEST_DIFFERENCE, Arrays, Total
from common.room import Room
from common.splits import FINAL, INNER, Label, splits_of_scheme
from common.study import Study
from common.whole_hospitals import EXTERNAL
from server.evaluation.concordance import overall_concordance
from server.evaluation.counted_groups import too_small
from server.evaluation.discrimination import NOT_ESTIMABLE, Estimate
from server.evaluation.edges import choose_edges
from server.evaluation.follow_up import FollowUp, after, by, counting_curve, follow_up
from server.evaluation.survival_cells import cells_of, of_equal_counts
from server.evaluation.survival_fits import BaselineCurve, Fits, asked_horizons, fit_baselines
from server.evaluation.survival_groups import Groups, groups_of
from server.evaluation.survival_horizons import AtHorizon, at_horizons, risks_at
from server.federation import Federation

WHOLE = 1.0


@dataclass(frozen=True)
class Table:
    """Time by score: the months that end a cell; per label, the edges of the score's bins, events and all exits."""

    months: tuple[int, ...]
    edges: np.ndarray
    events: np.ndarray
    exits: np.ndarray


@dataclass(frozen=True)
class SurvivalJudged:
    """How one label's scores order and predict survival; `pairs` are those behind C within hospitals."""

    patients: int
    events: int
    within_sites: Estimate
    pairs: float
    by_site: dict[str, Estimate]
    overall: Estimate
    certified: tuple[float, float]
    uno: Estimate
    horizons: tuple[AtHorizon, ...]
    groups: Groups


@dataclass(frozen=True)
class Survival:
    """The cohort's follow-up, the final model's baseline by model, and every label judged, in the table's order."""

    follow_up: FollowUp
    baseline: dict[str, dict[int, float]]
    judged: dict[str, SurvivalJudged]
    fits: Fits
    table: Table
    curve: BaselineCurve


def judge_survival(
    federation: Federation, study: Study, room: Room, view: str, labels: tuple[str, ...]
) -> Survival:
    """Judge the held-out linear predictors of every label."""
    outcome = study.outcome
    if not isinstance(outcome, SurvivalOutcome):
        raise ValueError(f"a {outcome.kind} outcome has no survival times")
    found = follow_up(federation, outcome)
    edges = choose_edges(federation, view, labels, np.array([]))
    order, table = _order(federation, view, labels, found, edges)
    models = tuple(dict.fromkeys(Label.read(label).model for label in labels))
    splits = tuple(split for split in federation.splits if INNER not in split and split != EXTERNAL)
    fewest = min(room.fewest(study, split, training=True) for split in splits)
    fits, curve = fit_baselines(
        federation, view, splits, models, found, outcome.risk_groups, fewest // SMALLEST_DIFFERENCE
    )
    judged = fits.with_external if EXTERNAL in {Label.read(label).scheme for label in labels} else fits
    risk = _risk(federation, view, labels, found, edges, judged)
    final = splits.index(FINAL)
    return Survival(
        follow_up=found,
        baseline={
            model: {h: float(fits.hazards[m, final, k]) for k, h in enumerate(found.horizons)}
            for m, model in enumerate(models)
        },
        judged={label: _judged(label, k, order, risk, found, judged) for k, label in enumerate(labels)},
        fits=fits,
        table=table,
        curve=curve,
    )


def _order(
    federation: Federation, view: str, labels: tuple[str, ...], found: FollowUp, edges: np.ndarray
) -> tuple[Total, Table]:
    """Tables of time by score: with (smaller class)/5 cells in all; histograms at horizons with as many bins each."""
    allowed = _cells(edges)
    bins = max(1, int(np.sqrt(allowed.max())))
    months = of_equal_counts(found.events, found.months, max(2, int(allowed.max()) // bins))
    grid, followed = counting_curve(found)
    kept = _thinned(edges, np.minimum(bins, allowed // (len(months) + 1)))
    total = federation.ask(
        "survival_order",
        view=view,
        rows="held_out",
        parameters={
            "schemes": list(labels),
            "months": list(months),
            "horizons": list(asked_horizons(found)),
            "grid": grid,
        },
        arrays={
            "edges": kept,
            "horizon_edges": _thinned(edges, _bins_at_horizons(found, allowed)),
            "followed": followed,
        },
    )
    return total, Table(tuple(months), kept, total.sums["events"], total.sums["exits"])


def _cells(edges: np.ndarray) -> np.ndarray:
    """How many cells each label's patients allow: as many as it has bins, (smaller class)/5 at most."""
    return np.array([1 + len(np.unique(row[row < WHOLE])) for row in edges])


def _bins_at_horizons(found: FollowUp, allowed: np.ndarray) -> np.ndarray:
    """(Smaller class)/5 at the horizon that has the fewest; in proportion where a label judges fewer patients."""
    exits = found.events + found.competing + found.censored
    fewest = [min(by(found.events, found.months, h), after(exits, found.months, h)) for h in found.horizons]
    bins: np.ndarray = (min(fewest, default=0.0) // SMALLEST_CELL * allowed / allowed.max()).astype(int)
    return bins


def _thinned(edges: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """At most so many bins a label, of edges that were counted before; padded with edges that make no bin."""
    kept = []
    for row, most in zip(edges, bins, strict=True):
        inner = np.unique(row[row < WHOLE])
        wanted = max(0, min(int(most) - 1, len(inner)))
        places = np.round(np.linspace(0, len(inner) + 1, wanted + 2)[1:-1]).astype(int) - 1
        kept.append(inner[np.unique(places)] if wanted else np.array([]))
    width = max(1, max(len(row) for row in kept))
    return np.array([np.concatenate([row, np.full(width - len(row), WHOLE)]) for row in kept])


def _risk(
    federation: Federation,
    view: str,
    labels: tuple[str, ...],
    found: FollowUp,
    edges: np.ndarray,
    fits: Fits,
) -> tuple[Total, tuple[int, ...], np.ndarray]:
    """Risk groups and errors of every label, the months of the groups' curves, and the edges of the score's bins."""
    grid, followed = counting_curve(found)
    exits = found.events + found.competing + found.censored
    padded = np.zeros(LAST_MONTH + 1)
    padded[np.array(found.months) - 1] = exits[:-1]
    padded[-1] = exits[-1]
    months = cells_of(padded, found.horizons, SMALLEST_CELL * (fits.cuts.shape[2] + 1))
    kept = _thinned(edges, _bins_at_horizons(found, _cells(edges)))
    cuts = np.array([fits.cuts[fits.models.index(Label.read(label).model)] for label in labels])
    ungrouped = too_small(federation, view, labels, fits.splits, cuts)
    total = federation.ask(
        "survival_risk",
        view=view,
        rows="held_out",
        parameters=fits.parameters
        | {"schemes": list(labels), "ungrouped": ungrouped, "months": list(months), "grid": grid},
        arrays=fits.arrays | {"edges": kept, "followed": followed},
    )
    return total, months, kept


def _judged(
    label: str, k: int, order: Total, risk: tuple[Total, tuple[int, ...], np.ndarray], found: FollowUp, fits: Fits
) -> SurvivalJudged:
    sums, (grouped, months, edges), read = order.sums, risk, Label.read(label)
    splits = [fits.splits.index(split) for split in splits_of_scheme(read.scheme, fits.splits)]
    baseline = fits.hazards[fits.models.index(read.model), splits].mean(axis=0)
    events, exits = sums["events"][k], sums["exits"][k]
    won, pairs, spread = sums["within"][k][:3]
    overall, certified = overall_concordance(events, events, exits, sums["pairs"][k], sums["within"][k])
    uno, _ = overall_concordance(
        sums["weighted"][k], events, exits, sums["weighted_pairs"][k], sums["weighted_within"][k]
    )
    own = order.disclosed
    return SurvivalJudged(
        patients=round(float(exits.sum())),
        events=round(float(events.sum())),
        within_sites=Estimate.normal(won / pairs, float(np.sqrt(spread)) / pairs) if pairs else NOT_ESTIMABLE,
        pairs=float(pairs),
        by_site={
            name: Estimate.normal(*said.auc[label]) if label in said.auc else NOT_ESTIMABLE
            for name, said in own.items()
        },
        overall=overall,
        certified=certified,
        uno=uno,
        horizons=at_horizons(
            found.horizons, _of(sums, k), _of(grouped.sums, k), found.event_free, risks_at(edges[k], baseline)
        ),
        groups=groups_of(months, _of(grouped.sums, k)),
    )


def _of(sums: Arrays, k: int) -> Arrays:
    return {name: array[k] for name, array in sums.items()}
