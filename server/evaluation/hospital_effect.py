"""How much features tell of the hospital, on held-out patients of every fold, before and after harmonisation.

Mirrored by client/queries/hospital_effect.py, worked out in harmonization/. What leaves: sums of an analysis of
variance, counts in a few bins and a sum of squared rank sums, sums and products of a classifier's columns, n·AUC; all
as totals over hospitals. Rounds: five, and one more where patients were measured twice. Exact: ANOVA, Brown–Forsythe,
t and Lin's CCC as on the pooled rows; Kruskal–Wallis for binned values; the classifier's AUC under normal scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.dimension import columns_allowed
from common.query import View
from common.splits import FINAL
from harmonization.agreement import concordance
from harmonization.arrays import Array, Sums
from harmonization.biology import covariate_t
from harmonization.hospital_classifier import mean_separation, permutation_null, strongest, unpacked
from harmonization.hospital_effect import HospitalEffect, NothingToTest
from harmonization.hospital_effect import hospital_effect as effect_of
from harmonization.kruskal import LARGEST, Kruskal, kruskal, midranks
from server.federation import Federation
from server.methods.pipeline import Prepared

WHEN = ("before", "after")
FEWEST_PAIRS = 30
PATIENTS_A_BIN = 10
NULL_DRAWS = 500
NULL_QUANTILE = 0.95


@dataclass(frozen=True)
class Question:
    """What is asked about: folds, held-out patients of each, columns by number, and both views.

    `adjusting`: the covariates that the analysis of variance adjusts for; `preserved`: those whose t is watched.
    `hospital_patients`: n of every hospital, for the null.
    """

    splits: tuple[str, ...]
    held_out: tuple[int, ...]
    features: tuple[int, ...]
    adjusting: tuple[int, ...]
    preserved: tuple[int, ...]
    outcome: bool
    smooth: Mapping[str, Any]
    hospital_patients: tuple[int, ...]
    before: str
    after: str

    @property
    def parameters(self) -> dict[str, Any]:
        """What every query of this file is told."""
        return {
            "after": self.after,
            "features": list(self.features),
            "covariates": list(self.adjusting),
            "smooth": dict(self.smooth),
        }


@dataclass(frozen=True)
class Classifier:
    """How well each hospital's held-out patients can be told from the rest, by patients and folds; and by chance."""

    auc: float
    null_mean: float
    null_high: float
    columns: int


@dataclass(frozen=True)
class Effects:
    """One side, before or after: effects fold by fold, t over all folds (covariates × features), the classifier."""

    location: tuple[HospitalEffect, ...]
    spread: tuple[HospitalEffect, ...]
    scanner: tuple[HospitalEffect, ...]
    ranks: tuple[Kruskal, ...]
    t: Array
    classifier: Classifier


@dataclass(frozen=True)
class Pairs:
    """Patients measured twice: how many, at how many hospitals; Lin's CCC of every feature before and after."""

    patients: int
    hospitals: int
    before: Array
    after: Array


@dataclass(frozen=True)
class Found:
    """Everything that held-out patients say."""

    before: Effects
    after: Effects
    covariates_only: Classifier | None
    pairs: Pairs | None


def standardised(prepared: Prepared, features: Sequence[int], parent: str, splits: tuple[str, ...]) -> View:
    """Features on the scale of the final model, one for all folds, covariates as they are: sums keep their digits."""
    chosen, width = list(features), len(prepared.design)
    centre, spread = np.zeros((len(splits), width)), np.ones((len(splits), width))
    centre[:, chosen], spread[:, chosen] = prepared.centre[0, chosen], prepared.spread[0, chosen]
    return View(step="scale", parent=parent, splits=splits, arrays={"centre": centre, "spread": spread})


def ask_about_effects(federation: Federation, question: Question) -> tuple[Found, Sums]:
    """Five questions; what they say, and the first total."""
    asked = question.parameters | {"preserved": list(question.preserved), "outcome": question.outcome}
    total = _ask(federation, question, "hospital_effect", asked)
    location = {when: _effects(total, f"{when}_location") for when in WHEN}
    ranks = _ranks(federation, question, total)
    columns = _columns(question, location["before"])
    classifiers = _classify(federation, question, columns)
    before, after = (
        Effects(
            location=location[when],
            spread=_effects(total, f"{when}_spread"),
            scanner=_scanners(total, f"{when}_scanner", question),
            ranks=ranks[when],
            t=_t(total, when),
            classifier=classifiers[when],
        )
        for when in WHEN
    )
    return Found(before, after, covariates_only=classifiers.get("covariates"), pairs=None), total


def ask_about_pairs(
    federation: Federation, question: Question, total: Sums, before: str, after: str, offset: Array
) -> Pairs | None:
    """Lin's concordance by the final model, of thirty pairs and more."""
    hospitals, pairs = (round(float(x)) for x in total["retest"])
    if pairs < FEWEST_PAIRS:
        return None
    sums = federation.ask(
        "retest",
        view=before,
        splits=(FINAL,),
        parameters={"after": after, "features": list(question.features)},
        arrays={"offset": offset},
        also=(after,),
    ).sums
    before_ccc, after_ccc = (concordance(_named(sums, when)) for when in WHEN)
    return Pairs(pairs, hospitals, before_ccc, after_ccc)


def _ask(
    federation: Federation,
    question: Question,
    name: str,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray] | None = None,
) -> Sums:
    return federation.ask(
        name,
        view=question.before,
        splits=question.splits,
        rows="held_out",
        parameters=parameters,
        arrays=arrays,
        also=(question.after,),
    ).sums


def _named(sums: Sums, prefix: str) -> Sums:
    return {key.removeprefix(f"{prefix}_"): value for key, value in sums.items() if key.startswith(f"{prefix}_")}


def _effects(total: Sums, prefix: str) -> tuple[HospitalEffect, ...]:
    """The F test of every fold."""
    own = _named(total, prefix)
    return tuple(effect_of({key: value[k] for key, value in own.items()}) for k in range(len(own["n"])))


def _scanners(total: Sums, prefix: str, question: Question) -> tuple[HospitalEffect, ...]:
    """Hospital and scanner together; nothing where no hospital has two scanners, or where they are too many."""
    batches = total[f"{prefix}_batches"][:, 0]
    if (batches <= len(question.hospital_patients)).all():
        return ()
    try:
        return _effects(total, prefix)
    except NothingToTest:  # as many scanners as patients
        return ()


def _t(total: Sums, when: str) -> Array:
    """t of every preserved covariate and of the outcome, from all folds' held-out patients together.

    Rows are centred within hospital and fold, so that folds harmonised by different parameters can be added.
    """
    own = _named(total, f"{when}_biology")
    if not own["cy"].shape[0]:
        return np.zeros(own["cy"].shape)
    return covariate_t(own, round(float(own["batches"][0])))


def _ranks(federation: Federation, question: Question, total: Sums) -> dict[str, tuple[Kruskal, ...]]:
    """Kruskal–Wallis over bins that hold ten patients on average; means and deviations come from the first total."""
    count = int(np.clip(min(question.held_out) // PATIENTS_A_BIN, 2, LARGEST))
    mean, deviation = [], []
    for when in WHEN:
        own = _named(total, f"{when}_location")
        n = own["n"]
        m = own["y"] / n
        mean.append(m)
        deviation.append(np.sqrt(np.maximum((own["yy"] + own["between_yy"]) / n - m**2, 0.0)))
    arrays = {"mean": np.array(mean), "deviation": np.array(deviation)}
    asked = question.parameters | {"bins": count}
    counts = _ask(federation, question, "rank_counts", asked, arrays)["counts"]
    ranks = np.array([[midranks({"counts": fold}) for fold in side] for side in counts])
    second = _ask(federation, question, "rank_sums", asked, arrays | {"ranks": ranks})
    return {
        when: tuple(
            kruskal({"counts": counts[v, k]}, {key: value[v, k] for key, value in second.items()})
            for k in range(len(question.splits))
        )
        for v, when in enumerate(WHEN)
    }


def _columns(question: Question, before: Sequence[HospitalEffect]) -> list[list[int]]:
    """The classifier's features in each fold: the largest F before harmonisation in all other folds.

    The other folds' held-out patients are this fold's training patients: its own held-out ones have no say. As
    many as a cross-product over the smallest fold may cover.
    """
    f = np.array([np.minimum(effect.f, 1e12) for effect in before])
    rest = (f.sum(axis=0) - f) / max(len(f) - 1, 1)
    return [strongest(row, columns_allowed(min(question.held_out))).tolist() for row in rest]


def _classify(federation: Federation, question: Question, columns: list[list[int]]) -> dict[str, Classifier]:
    """Two questions: sums, then with the totals n·AUC; the null from the totals alone."""
    asked = question.parameters | {"columns": columns}
    totals = _ask(federation, question, "classifier_sums", asked)
    arrays = {
        "before": totals["before"],
        "harmonised": totals["after"],
        "covariates_only": totals["covariates"],
    }
    found = _ask(federation, question, "classifier_auc", asked, arrays)
    kinds = {"before": len(columns[0]), "after": len(columns[0]), "covariates": len(question.adjusting)}
    return {what: _classifier(question, totals[what], found, what, k) for what, k in kinds.items() if k}


def _classifier(question: Question, totals: Array, found: Sums, what: str, columns: int) -> Classifier:
    folds, weight = len(question.splits), found["n"] / found["n"].sum()
    auc = [
        mean_separation({"n": found["n"][k : k + 1], "weighted": found[f"{what}_weighted"][k : k + 1]})
        for k in range(folds)
    ]
    # Folds are dealt evenly: a hospital's n in each follows from its n.
    test = np.array(question.hospital_patients, dtype=np.float64) / folds
    null = np.array(
        [
            permutation_null(
                unpacked(train), unpacked(held_out), test * (folds - 1), test, draws=NULL_DRAWS, seed=k
            )
            for k, (train, held_out) in enumerate(totals)
        ]
    )
    mean_of_folds = weight @ null
    return Classifier(
        auc=float(weight @ np.array(auc)),
        null_mean=float(mean_of_folds.mean()),
        null_high=float(np.quantile(mean_of_folds, NULL_QUANTILE)),
        columns=columns,
    )
