"""The hospitals drawn anew, by weights that each draws in secret: mirrored by server/evaluation/bootstrap.py."""

import hashlib

import numpy as np
from pydantic import Field, field_validator, model_validator

from client.queries.discrimination import auc_and_variance
from client.queries.quantiles import few_and_ascending
from client.queries.registry import Parameters, Schemes, bounded_array, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer

FIGURES = ("overall", "within")
MOST_PATIENTS = 1e9


class Bootstrap(Parameters):
    """What was found over all hospitals, so that each knows its own part in it.

    Parameters
    ----------
    groups
        For each label a number; labels of one group are repeats, whose parts are averaged.
    edges, classes
        The bins of `discrimination`, and its totals: labels × (without, with the outcome) × bins.
    within
        Labels × (the AUC within hospitals, the number of pairs behind it).
    """

    schemes: Schemes
    groups: tuple[int, ...]
    replicates: int = Field(ge=200, le=1000)
    edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]
    classes: bounded_array(3, 0.0, MOST_PATIENTS)  # type: ignore[valid-type]
    within: bounded_array(2, 0.0, MOST_PATIENTS**2)  # type: ignore[valid-type]

    @field_validator("edges")
    @classmethod
    def _few(cls, edges: np.ndarray) -> np.ndarray:
        return few_and_ascending(edges)

    @model_validator(mode="after")
    def _aligned(self) -> "Bootstrap":
        labels, edges = len(self.schemes), self.edges.shape
        shapes = len(self.groups), edges[0], self.classes.shape, self.within.shape
        if shapes != (labels, labels, (labels, 2, edges[1] + 1), (labels, 2)):
            raise ValueError(f"{labels} labels, and shapes that do not fit them: {shapes}")
        if set(self.groups) != set(range(len(set(self.groups)))):
            raise ValueError(f"the groups {self.groups} are not numbered from 0")
        return self


@query(
    "bootstrap",
    Bootstrap,
    leaves="Per evaluated model and draw: one number each for the overall and the within-hospital AUC, this hospital's "
    "part in the figure times a weight that it draws itself and tells nobody.",
)
def bootstrap(rows: Rows, parameters: Bootstrap) -> Answer:
    """Σ over hospitals of (w − 1)·S: S is the hospital's part in an AUC, w ~ Exp(1) its secret weight in a draw.

    With placements v₁₀(b) = (N_{<b} + N_b/2)/n₀ and v₀₁(b) alike over all hospitals, overall
    S = Σ_own with (v₁₀ − AUC)/n₁ + Σ_own without (v₀₁ − AUC)/n₀, and within S = (won − AUC·pairs)/Σpairs.
    """
    own = np.array([_parts(rows, parameters, k) for k in range(len(parameters.schemes))])
    return Answer(sums={"draws": draws_of(rows, own, parameters.groups, parameters.replicates, "")})


def draws_of(rows: Rows, own: np.ndarray, groups: tuple[int, ...], replicates: int, purpose: str) -> np.ndarray:
    """(w − 1)·S by group, figure and draw.

    Parameters
    ----------
    own
        This hospital's parts: labels × figures.
    groups
        Each label's group, whose parts are averaged.
    purpose
        What the purposes of the weights begin with.
    """
    of, draws = np.array(groups), np.zeros((max(groups) + 1, len(FIGURES), replicates))
    for group in range(len(draws)):
        parts = own[of == group].mean(axis=0)
        for figure, name in enumerate(FIGURES):
            # Weights of their own for every figure: with shared ones, a few figures would tell the hospitals apart.
            weights = secret_weights(rows, f"{purpose}{group}/{name}", replicates)
            draws[group, figure] = (weights - 1) * parts[figure]
    return draws


def _parts(rows: Rows, parameters: Bootstrap, k: int) -> tuple[float, float]:
    """This hospital's part in the overall and in the within-hospital AUC of one label."""
    score, outcome = rows.probabilities(parameters.schemes[k])
    bin_of = np.searchsorted(parameters.edges[k], score, side="left")
    own = [np.bincount(bin_of[outcome == c], minlength=parameters.edges.shape[1] + 1) for c in (0, 1)]
    if (np.array(own) > parameters.classes[k]).any():
        raise HospitalError(Code.BAD_PARAMETERS, "bootstrap: totals below this hospital's own counts")
    auc, within_pairs = parameters.within[k]
    negatives, positives = int((outcome == 0).sum()), int((outcome == 1).sum())
    pairs = negatives * positives
    won = auc_and_variance(score, outcome)[0] * pairs if pairs else 0.0
    return overall_part(parameters.classes[k], own[0], own[1]), (won - auc * pairs) / max(within_pairs, 1.0)


def overall_part(classes: np.ndarray, negative: np.ndarray, positive: np.ndarray) -> float:
    """One hospital's part in the AUC of binned predictions; the parts of all hospitals add up to 0."""
    n0, n1 = np.maximum(classes.sum(axis=1), 1)
    before = np.concatenate([[0.0], np.cumsum(classes[0])[:-1]])
    after = classes[1].sum() - np.cumsum(classes[1])
    v10, v01 = (before + classes[0] / 2) / n0, (after + classes[1] / 2) / n1
    auc = float(classes[1] @ v10) / n1
    return float(positive @ (v10 - auc) / n1 + negative @ (v01 - auc) / n0)


def secret_weights(rows: Rows, purpose: str, replicates: int) -> np.ndarray:
    """Weights of the draws for one purpose, from the hospital's own secret."""
    members = rows.members
    text = f"bootstrap/{purpose}/{rows.study.hash}/{members.hospital}/{members.secret}"
    seed = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.uint32)
    return np.random.default_rng(seed).exponential(size=replicates)
