"""Every column by itself against the outcome, in every training set: mirrored by client/queries/screening.py.

t: F = [Σ n_c (x̄_c − x̄)²/(C − 1)] / [Σ (x − x̄_c)²/(N − C)]; with two classes the square of Student's t. What leaves:
n and Σx by class, Σx². Exact (pooled: 1e-12).
mann-whitney: z² of the rank sums of binned values, ties counted, no continuity correction. What leaves: counts by
class and bin; edges are quantiles of the standard normal distribution. Exact for binned values; the AUC that belongs
to it lies within a certificate, half of Σ P_b N_b / (n₁n₀).
cox: U²/V, the score test of a Cox model of that column alone, stratified by hospital, events of one time sharing the
patients at risk. What leaves: U and V. Exact (pooled: 1e-12).
Rounds: one, or as many messages as the size takes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtrc

from common.query import SMALLEST_CELL
from common.selection import Screening
from common.study import Study
from server.federation import Federation
from server.methods.messages import MOST_NUMBERS, in_messages
from server.methods.pipeline import Prepared

PERFECT = 1e-12
"""Share of the variance that is left within the classes: below it, what is left is rounding."""
MOST_BINS, FEWEST_BINS = 64, 8
MOST_MESSAGES = 4


@dataclass(frozen=True)
class Screened:
    """Splits × columns: a statistic that is larger the more a column tells, and its p value.

    `certificate`: how far the AUC behind the statistic may lie from the pooled one; 0 where the statistic is exact.
    """

    statistic: np.ndarray
    p_value: np.ndarray
    certificate: np.ndarray


def screen(federation: Federation, study: Study, prepared: Prepared, test: Screening) -> Screened:
    """Ask about every column in the training rows of every split."""
    asking = {"t": _variance_ratios, "mann-whitney": _rank_sums, "cox": _cox_scores}[test]
    found = asking(federation, study, prepared)
    away = ~prepared.used
    return Screened(
        np.where(away, 0.0, found.statistic),
        np.where(away, 1.0, found.p_value),
        np.where(away, 0.0, found.certificate),
    )


def _asked(
    federation: Federation, prepared: Prepared, name: str, numbers: int, **parameters: int
) -> dict[str, np.ndarray]:
    """The totals of all splits, in as many messages as they take."""
    parts = [
        federation.ask(name, view=prepared.view, splits=splits, parameters=parameters).sums
        for _, splits in in_messages(federation.splits, numbers)
    ]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _class_sums(federation: Federation, study: Study, prepared: Prepared) -> dict[str, np.ndarray]:
    classes = (
        len(study.variable(study.outcome_columns()[-1]).levels or (0, 1))
        if study.outcome.kind == "multiclass"
        else 2
    )
    return _asked(federation, prepared, "class_sums", (classes + 1) * len(prepared.columns) + classes)


def _variance_ratios(federation: Federation, study: Study, prepared: Prepared) -> Screened:
    sums = _class_sums(federation, study, prepared)
    n, first, second = sums["patients"][:, :, None], sums["first"], sums["second"]
    patients, present = n.sum(axis=1), (n > 0).sum(axis=1)
    grand = first.sum(axis=1) ** 2 / np.maximum(patients, 1)
    between = np.maximum((first**2 / np.maximum(n, 1)).sum(axis=1) - grand, 0.0)
    whole = second - grand
    within = np.maximum(whole - between, PERFECT * np.maximum(whole, 1e-300))
    above, below = np.maximum(present - 1, 1), np.maximum(patients - present, 1)
    ratio = np.where(whole > 0, (between / above) / (within / below), 0.0)
    return Screened(ratio, fdtrc(above, below, ratio), np.zeros_like(ratio))


def _rank_sums(federation: Federation, study: Study, prepared: Prepared) -> Screened:
    width, splits = len(prepared.columns), len(federation.splits)
    smaller = int(_class_sums(federation, study, prepared)["patients"].min())
    affordable = MOST_MESSAGES * MOST_NUMBERS // (2 * width * splits)
    number = max(2, min(smaller // SMALLEST_CELL, max(affordable, FEWEST_BINS), MOST_BINS))
    counts = _asked(federation, prepared, "class_histograms", 2 * width * number, bins=number)["counts"]
    negative, positive = counts[:, 0], counts[:, 1]
    n0, n1 = negative.sum(axis=1), positive.sum(axis=1)
    pairs, patients = np.maximum(n0 * n1, 1), n0 + n1
    below = np.cumsum(negative, axis=1) - negative
    width_of = (positive * negative).sum(axis=1) / pairs
    auc = (positive * below).sum(axis=1) / pairs + width_of / 2
    tied = negative + positive
    ties = (tied**3 - tied).sum(axis=1) / np.maximum(patients * (patients - 1), 1)
    variance = (patients + 1 - ties) / (12 * pairs)
    statistic = np.where(variance > 0, (auc - 0.5) ** 2 / np.where(variance > 0, variance, 1.0), 0.0)
    return Screened(statistic, chdtrc(1.0, statistic), width_of / 2)


def _cox_scores(federation: Federation, _: Study, prepared: Prepared) -> Screened:
    sums = _asked(federation, prepared, "cox_scores", 2 * len(prepared.columns) + 1)
    score, variance = sums["score"], sums["variance"]
    statistic = np.where(variance > 0, score**2 / np.where(variance > 0, variance, 1.0), 0.0)
    return Screened(statistic, chdtrc(1.0, statistic), np.zeros_like(statistic))
