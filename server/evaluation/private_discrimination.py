"""AUC, Brier score and calibration curve from noisy histograms: mirrored by client/queries/private_histograms.py.

Every scheme has ten bins of predicted risk whose edges follow from the released coefficients alone: deciles of
N(β₀, ‖β‖²), which is the linear predictor's distribution for uncorrelated standardised columns; of a network, its
deciles over such columns (server/methods/private_network.py). With P_b, N_b the noisy
counts by class (those below 0 count as 0), AUC = Σ P_b (N_{<b} + N_b/2) / (n₁n₀). Its error has two parts: DeLong's,
and that of the noise, σ²·[Σ(v10_b − AUC)²/n₁² + Σ(v01_b − AUC)²/n₀²], by the derivatives of the AUC. Brier score and
calibration take a bin's middle for its patients' risks. No hospital says anything of its own. Rounds: one. What
leaves: counts by class and bin a scheme, with noise of L2 sensitivity √schemes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from common.privacy_plan import noise_of_histograms
from common.splits import schemes_of
from common.study import Study
from server.evaluation.discrimination import NORMAL_95, certified_auc
from server.federation import Federation
from server.methods.private_pipeline import noise_parameter

BINS = 10
NARROWEST = 0.05
"""Standard deviation of the linear predictor, at least: a model of zeros would put all edges in one place."""
FEWEST_OF_A_CLASS = 1.0


@dataclass(frozen=True)
class PrivatelyJudged:
    """How one scheme's predictions separate the classes; None where the noise leaves nothing to estimate."""

    auc: float | None
    low: float | None
    high: float | None
    sampling_error: float | None
    noise_error: float | None
    events_share: float | None
    brier: float | None
    curve: list[tuple[float, float]]


def judge_privately(
    federation: Federation, study: Study, view: str, edges: np.ndarray, noise: bool
) -> dict[str, PrivatelyJudged]:
    """Judge the predictions of every scheme, in bins of predicted risk between these edges."""
    schemes = schemes_of(study)
    sums = federation.ask(
        "private_histograms",
        view=view,
        rows="held_out",
        parameters={"schemes": list(schemes), **noise_parameter(noise)},
        arrays={"edges": np.tile(edges, (len(schemes), 1))},
    ).sums
    sigma = noise_of_histograms(study) if noise else 0.0
    return {scheme: judge(sums["histogram"][k], edges, sigma) for k, scheme in enumerate(schemes)}


def bin_edges(beta: np.ndarray) -> np.ndarray:
    """Inner edges of predicted risk, from the coefficients of the final model."""
    spread = max(NARROWEST, float(np.linalg.norm(beta[1:])))
    edges: np.ndarray = expit(beta[0] + spread * norm.ppf(np.arange(1, BINS) / BINS))
    return edges


def judge(histogram: np.ndarray, edges: np.ndarray, sigma: float) -> PrivatelyJudged:
    """The figures of one scheme: classes × bins, with noise of standard deviation σ in every cell."""
    negative, positive = np.maximum(histogram, 0.0)
    n0, n1 = float(negative.sum()), float(positive.sum())
    if min(n0, n1) < FEWEST_OF_A_CLASS:
        return PrivatelyJudged(None, None, None, None, None, None, None, [])
    estimate, _ = certified_auc(positive, negative)
    auc, sampling = float(estimate.value or 0.0), float(estimate.standard_error or 0.0)
    above = (np.concatenate([[0.0], np.cumsum(negative)[:-1]]) + negative / 2) / n0
    below = (n1 - np.cumsum(positive) + positive / 2) / n1
    noise = sigma * float(np.sqrt(((above - auc) ** 2).sum() / n1**2 + ((below - auc) ** 2).sum() / n0**2))
    margin = NORMAL_95 * float(np.hypot(sampling, noise))
    middle = np.convolve(np.concatenate([[0.0], edges, [1.0]]), [0.5, 0.5], "valid")
    squared = float(positive @ (1 - middle) ** 2 + negative @ middle**2)
    filled = positive + negative > max(2 * sigma, 1.0)
    observed = positive[filled] / (positive + negative)[filled]
    return PrivatelyJudged(
        auc=auc,
        low=max(0.0, auc - margin),
        high=min(1.0, auc + margin),
        sampling_error=sampling,
        noise_error=noise,
        events_share=n1 / (n0 + n1),
        brier=squared / (n0 + n1),
        curve=[(float(p), float(o)) for p, o in zip(middle[filled], observed, strict=True)],
    )
