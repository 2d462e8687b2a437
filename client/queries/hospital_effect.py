"""Do features still tell the hospital? Mirrored by server/evaluation/hospital_effect.py, worked out in harmonization/.

Every query looks at patients whom a fold of the k-fold holds out, through two views: the query's own is the one
before harmonisation, `after` names the other. All sums are totals over hospitals; splits that leave a hospital out
are refused, since their held-out rows are that hospital's alone.
"""

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from client.harmonise import design
from client.queries.combat import Curve
from client.queries.registry import Parameters, bounded_array, query
from client.retest import pairs_in
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer
from harmonization.arrays import Array, Sums
from harmonization.hospital_classifier import (
    packed,
    separation,
    separation_answer,
    separation_sums,
    unpacked,
)
from harmonization.hospital_effect import distance_from_median, effect_sums
from harmonization.kruskal import LARGEST, bins, histogram_sums, rank_sums
from harmonization.sums import combat_sums

MOST_COLUMNS = 30
"""More columns than this the hospital classifier never takes; the coordinator takes N/3 − 1 at most."""


class Judged(Parameters):
    """The view after harmonisation, and the numbers of the covariates' and features' columns in both views."""

    after: str
    features: tuple[int, ...]
    covariates: tuple[int, ...] = ()
    smooth: dict[str, Curve] = {}


class Effect(Judged):
    """`preserved`: the covariates whose signal must be kept; with the outcome, where it has enough carriers."""

    preserved: tuple[int, ...] = ()
    outcome: bool = False


class Ranked(Judged):
    """Number of bins, and means and deviations from earlier totals (before and after × splits × features)."""

    bins: int = Field(ge=2, le=LARGEST)
    mean: bounded_array(3, -1e300, 1e300)  # type: ignore[valid-type]
    deviation: bounded_array(3, 0.0, 1e300)  # type: ignore[valid-type]


class RankedOver(Ranked):
    """With the bins' mean ranks over all hospitals (before and after × splits × bins × features)."""

    ranks: bounded_array(4, 0.0, 1e9)  # type: ignore[valid-type]


class Told(Judged):
    """Which of the features the classifier takes, split by split."""

    columns: tuple[tuple[int, ...], ...]


class ToldFrom(Told):
    """With the totals (splits × training and held-out × sums): of features before, after, and of covariates."""

    before: bounded_array(3, -1e300, 1e300)  # type: ignore[valid-type]
    harmonised: bounded_array(3, -1e300, 1e300)  # type: ignore[valid-type]
    covariates_only: bounded_array(3, -1e300, 1e300)  # type: ignore[valid-type]


@query(
    "hospital_effect",
    Effect,
    leaves="Per fold, over held-out patients, before and after harmonisation: for each feature the sums of an "
    "analysis of variance between hospitals, and between scanners within hospitals (number of patients, sums, "
    "squares and products with the covariates, within and between), of the feature and of its distance from this "
    "hospital's median; over all folds together, products with the preserved covariates and the outcome. And "
    "whether this hospital has ten patients or more who were measured twice, and how many.",
)
def hospital_effect(rows: Rows, asked: Effect) -> Answer:
    """Sums of ANOVA, of Brown–Forsythe and of the covariates' t, in one message."""
    stacked: dict[str, list[Array]] = {}
    together: Sums = {}
    for when, _, chosen, table in _held_out(rows, asked):
        y = table[:, list(asked.features)]
        c = _covariates(table, asked)
        preserved = design(table, _said(asked.preserved, asked))
        biology = np.column_stack([preserved, rows.members.strata[chosen]]) if asked.outcome else preserved
        distances = distance_from_median(y) if len(y) else y
        scanners = rows.members.scanners()[chosen]
        for what, sums in (
            ("location", effect_sums(y, c)),
            ("spread", effect_sums(distances)),
            ("scanner", effect_sums(y, c, batches=scanners)),
        ):
            for key, value in sums.items():
                stacked.setdefault(f"{when}_{what}_{key}", []).append(value)
        for key, value in (combat_sums(biology, y) | {"batches": np.array([float(len(y) > 0)])}).items():
            name = f"{when}_biology_{key}"
            together[name] = together[name] + value if name in together else value
    twice = float(pairs_in(rows))
    retest = {"retest": np.array([float(twice > 0), twice])}
    return Answer(sums={key: np.array(values) for key, values in stacked.items()} | together | retest)


@query(
    "rank_counts",
    Ranked,
    leaves="Per fold, over held-out patients, before and after harmonisation: for each feature, how many patients "
    "fall into a few bins.",
)
def rank_counts(rows: Rows, asked: Ranked) -> Answer:
    """Kruskal–Wallis, round 1."""
    counts = [histogram_sums(binned, asked.bins)["counts"] for _, _, binned in _binned(rows, asked)]
    return Answer(sums={"counts": _by_view(rows, counts)})


@query(
    "rank_sums",
    RankedOver,
    leaves="Per fold, over held-out patients, before and after harmonisation: for each feature, the square of this "
    "hospital's sum of ranks over its number of patients.",
)
def rank_squares(rows: Rows, asked: RankedOver) -> Answer:
    """Kruskal–Wallis, round 2."""
    answers = [rank_sums(binned, asked.ranks[view, k]) for view, k, binned in _binned(rows, asked)]
    return Answer(sums={key: _by_view(rows, [sums[key] for sums in answers]) for key in ("squares", "batches")})


@query(
    "classifier_sums",
    Told,
    leaves="Per fold, over training and over held-out patients, before and after harmonisation: number of patients, "
    "sums and products of a few features, and of the covariates.",
)
def classifier_sums(rows: Rows, asked: Told) -> Answer:
    """What the hospital classifier is built from, once added up."""
    own = _classified(rows, asked)
    return Answer(sums={what: np.array(parts) for what, parts in own.items()})


@query(
    "classifier_auc",
    ToldFrom,
    leaves="Per fold: number of held-out patients, and that number times how well they can be told from the other "
    "hospitals' patients (AUC); for features before and after harmonisation, and for the covariates alone.",
)
def classifier_auc(rows: Rows, asked: ToldFrom) -> Answer:
    """This hospital against the rest, from its own sums and the totals."""
    totals = {"before": asked.before, "after": asked.harmonised, "covariates": asked.covariates_only}
    sums: Sums = {}
    for what, parts in _classified(rows, asked).items():
        _require(totals[what].shape == np.shape(parts), f"the totals of {what} have another shape than the sums")
        own = [[unpacked(row) for row in both] for both in parts]
        whole = [[unpacked(row) for row in both] for both in totals[what]]
        answers = [
            separation_answer(separation(o[0], w[0], o[1], w[1]), o[1]["n"])
            for o, w in zip(own, whole, strict=True)
        ]
        sums["n"] = np.concatenate([answer["n"] for answer in answers])
        sums[f"{what}_weighted"] = np.concatenate([answer["weighted"] for answer in answers])
    return Answer(sums=sums)


def _held_out(rows: Rows, asked: Judged) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """`before` and `after`, the split, a mask of its held-out patients, and the matrix of these."""
    _require(rows.query.rows == "held_out", "asks about held-out patients")
    _require(all(split.startswith("kfold/") for split in rows.query.splits), "asks about folds only")
    for when, view in (("before", rows.query.view), ("after", asked.after)):
        _require(view is not None, "needs a view")
        for split, chosen in rows.chosen():
            yield when, split, chosen, rows.views.matrix(str(view), split)[chosen]


def _said(numbers: tuple[int, ...], asked: Judged) -> dict[str, object]:
    return {
        "covariates": numbers,
        "smooth": {k: v.model_dump() for k, v in asked.smooth.items() if int(k) in numbers},
    }


def _covariates(table: np.ndarray, asked: Judged) -> Array:
    return design(table, _said(asked.covariates, asked))


def _binned(rows: Rows, asked: Ranked) -> Iterator[tuple[int, int, np.ndarray]]:
    """View, split and the bins of its held-out patients, by number."""
    for index, (_, _, _, table) in enumerate(_held_out(rows, asked)):
        view, k = divmod(index, len(rows.query.splits))
        y = table[:, list(asked.features)]
        yield view, k, bins(y, asked.mean[view, k], asked.deviation[view, k], asked.bins)


def _by_view(rows: Rows, values: list[Array]) -> Array:
    """Before and after × splits × the rest."""
    return np.array(values).reshape(2, len(rows.query.splits), *np.shape(values[0]))


def _classified(rows: Rows, asked: Told) -> dict[str, list[list[Array]]]:
    """Sums of training and held-out patients: of the chosen features before and after, and of the covariates."""
    _require(len(asked.columns) == len(rows.query.splits), "needs the classifier's columns of every split")
    _require(max(map(len, asked.columns)) <= MOST_COLUMNS, f"takes at most {MOST_COLUMNS} columns")
    found: dict[str, list[list[Array]]] = {"before": [], "after": [], "covariates": []}
    for index, (when, split, held_out, _) in enumerate(_held_out(rows, asked)):
        table = rows.views.matrix(str(rows.query.view if when == "before" else asked.after), split)
        features = [asked.features[j] for j in asked.columns[index % len(rows.query.splits)]]
        parts = (rows.members.training(split), held_out)
        found[when].append([packed(separation_sums(table[part][:, features])) for part in parts])
        if when == "before":
            found["covariates"].append([packed(separation_sums(_covariates(table[p], asked))) for p in parts])
    return found


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise HospitalError(Code.BAD_PARAMETERS, f"a question about the hospital effect {rule}")
