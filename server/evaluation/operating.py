"""Sensitivity, specificity and predictive values at a threshold that was chosen in the training folds.

Every split's threshold is an edge of the final model's histogram: the one with the largest sensitivity + specificity
(Youden) on the split's own training rows, or the largest with the sensitivity that the study asks for. It is applied to
the patients that the split held out; a patient is positive if p > threshold. Intervals are Wilson's.
Rounds: 4 for all models, splits and labels, of which two count patients alone (server/evaluation/counted_groups.py): a
label in which one to four patients lie above their thresholds, or below, is not judged. What leaves: class histograms
of the training rows' predictions a split, in at most (smaller class)/10 bins, and four counts a label, as masked
totals; a model released to all hospitals has its threshold with it. Exact. Mirrored by client/queries/operating.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.evaluation import Evaluation
from common.splits import APPARENT, Label, splits_of_scheme
from server.evaluation.counted_groups import WHOLE, enough_in_training, one_width, too_small
from server.evaluation.discrimination import NORMAL_95, NOT_ESTIMABLE, Discrimination, Estimate
from server.federation import Federation

PATIENTS_OF_SMALLER_CLASS_A_BIN = 10
"""Of all patients; so half of them, as training rows, still have five."""
FEWEST = 10
"""A share is told of ten patients and more."""


@dataclass(frozen=True)
class OperatingPoint:
    """How one label's predictions classify at the thresholds of its splits."""

    thresholds: dict[str, float]
    sensitivity: Estimate
    specificity: Estimate
    positive_value: Estimate
    negative_value: Estimate


def judge_thresholds(
    federation: Federation,
    view: str,
    splits: tuple[str, ...],
    found: Mapping[str, Discrimination],
    rule: Evaluation,
) -> dict[str, OperatingPoint]:
    """Choose a threshold for every model and split, and judge every label by them.

    Parameters
    ----------
    splits
        The study's outer splits: those whose models are judged or released.
    found
        Every label's histogram; the bins of a model's thresholds are those of its `apparent` label.
    """
    models = [label for label in found if Label.read(label).scheme == APPARENT]
    edges = one_width([_coarser(found[label]) for label in models])
    edges = enough_in_training(federation, view, splits, models, edges)
    histogram = federation.ask(
        "training_classes", view=view, splits=splits, parameters={"schemes": models}, arrays={"edges": edges}
    ).sums["histogram"]
    chosen = {
        _model(label): np.array([choose_threshold(edges[m, k], histogram[k, m], rule) for k in range(len(splits))])
        for m, label in enumerate(models)
    }
    labels = list(found)
    cuts = np.array([chosen[_model(label)] for label in labels])
    untold = too_small(federation, view, labels, splits, cuts[:, :, None])
    cuts[[label in untold for label in labels]] = WHOLE
    counts = federation.ask(
        "threshold_classes", view=view, rows="held_out", parameters={"schemes": labels}, arrays={"cuts": cuts}
    ).sums["counts"]
    judged = {}
    for k, label in enumerate(labels):
        used = splits_of_scheme(Label.read(label).scheme, splits)
        thresholds = {s: float(chosen[_model(label)][splits.index(s)]) for s in used}
        judged[label] = _judge(thresholds, np.zeros((2, 2)) if label in untold else counts[k])
    return judged


def choose_threshold(edges: np.ndarray, histogram: np.ndarray, rule: Evaluation) -> float:
    """The best edge by the classes' training rows (class × bin); 1, so that nobody is positive, where there is none."""
    negative, positive = histogram
    if not negative.sum() or not positive.sum():
        return 1.0
    sensitivity = 1 - np.cumsum(positive)[:-1] / positive.sum()
    specificity = np.cumsum(negative)[:-1] / negative.sum()
    if rule.sensitivity_at_least is None:
        return float(edges[int(np.argmax(sensitivity + specificity))])
    enough = np.flatnonzero((sensitivity >= rule.sensitivity_at_least) & (edges < 1))
    return float(edges[enough[-1]]) if len(enough) else float(edges[0])


def _model(label: str) -> tuple[str, str]:
    read = Label.read(label)
    return read.model, read.level


def _coarser(found: Discrimination) -> np.ndarray:
    """Neighbouring bins merged until they are half as many as the classes allow."""
    edges = np.unique(found.edges[found.edges < 1])
    smaller = min(found.events, found.patients - found.events)
    allowed = max(1, int(smaller // PATIENTS_OF_SMALLER_CLASS_A_BIN) - 1)
    if len(edges) <= allowed:
        return edges
    return edges[np.unique(np.linspace(0, len(edges) - 1, allowed).round().astype(int))]


def _judge(thresholds: dict[str, float], counts: np.ndarray) -> OperatingPoint:
    (true_negative, false_positive), (false_negative, true_positive) = counts
    return OperatingPoint(
        thresholds=thresholds,
        sensitivity=wilson(true_positive, true_positive + false_negative),
        specificity=wilson(true_negative, true_negative + false_positive),
        positive_value=wilson(true_positive, true_positive + false_positive),
        negative_value=wilson(true_negative, true_negative + false_negative),
    )


def wilson(part: float, of: float) -> Estimate:
    """A share with Wilson's interval; not estimable of fewer than ten patients."""
    if of < FEWEST:
        return NOT_ESTIMABLE
    share, z2 = part / of, NORMAL_95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = NORMAL_95 * np.sqrt(share * (1 - share) / of + z2 / (4 * of**2)) / (1 + z2 / of)
    error = float(np.sqrt(share * (1 - share) / of))
    return Estimate(float(share), float(max(0.0, middle - half)), float(min(1.0, middle + half)), error)
