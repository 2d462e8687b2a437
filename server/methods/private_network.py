"""A network by noisy gradient steps (DP-SGD, all patients in every step): see client/queries/private_gradient.py.

v ← m v − (Σᵢ gᵢ + noise)/n + λ w, w ← w − η v: gᵢ is patient i's gradient of the log-likelihood, shortened to length C,
n about the training patients, η, m, λ the study's learning_rate (with its schedule), momentum and weight_decay; all
after the noise, so they cost nothing. Steps take all patients: of so few, a sample would lose more by its share of the
signal than its secrecy brings, and the account is exact. Rounds: `network.rounds`, all folds together. What leaves: the
gradient (weights) a fold, with noise of L2 sensitivity C. Not exact: that is the point.
"""

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from common.networks.rounds import learning_rate
from common.networks.seeds import seed_of
from common.query import View
from common.study import Study
from server.evaluation.private_discrimination import BINS, NARROWEST
from server.federation import Federation
from server.methods.private_logistic import patients_of
from server.methods.private_pipeline import PrivatelyPrepared, noise_parameter

LARGEST_WEIGHT = 100.0
"""On standardised columns; beyond it there is noise alone."""
DRAWN = 2000


def fit_network_privately(
    federation: Federation, study: Study, prepared: PrivatelyPrepared, patients: int, noise: bool
) -> np.ndarray:
    """Weights, splits × weights."""
    from common.networks.build import (  # PyTorch is there only where a study has a network
        first_weights,
        settings_of,
    )

    settings, splits = settings_of(study), federation.splits
    trained = np.array([patients_of(study, split, patients) for split in splits])[:, None]
    weights = np.tile(first_weights(study, len(prepared.columns), ""), (len(splits), 1))
    moved = np.zeros_like(weights)
    for number in range(1, settings.rounds + 1):
        total = federation.ask(
            "private_gradient",
            view=prepared.view,
            splits=splits,
            parameters=noise_parameter(noise),
            arrays={"beta": weights},
        )
        moved = settings.momentum * moved - total.sums["gradient"] / trained + settings.weight_decay * weights
        step = learning_rate(settings, number) * moved
        weights = np.clip(weights - step, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    return weights


def view_of(study: Study, prepared: PrivatelyPrepared, weights: np.ndarray, splits: tuple[str, ...]) -> View:
    """The view to the networks' outputs."""
    columns = np.arange(len(prepared.columns), dtype=np.float64)
    rounds = float(study.network.rounds) if study.network is not None else 0.0
    arrays = {
        "weights": weights[:, None],
        "columns": np.tile(columns, (len(splits), 1, 1)),
        "rounds": np.full((len(splits), 1), rounds),
    }
    return View(step="network", parent=prepared.view, splits=splits, arrays=arrays)


def edges_of_a_network(study: Study, weights: np.ndarray, columns: int) -> np.ndarray:
    """Inner edges of predicted risk, from the released weights alone: the network's deciles over columns N(0, 1)."""
    import torch

    from common.networks.build import with_weights

    module = with_weights(study, columns, weights)
    module.eval()
    drawn = np.random.default_rng(seed_of("private edges", study.seed)).normal(size=(DRAWN, columns))
    with torch.no_grad():
        x = torch.from_numpy(drawn).to(next(module.parameters()).dtype)
        line = module(x)[:, 0].to(torch.float64).numpy()
    shares = np.arange(1, BINS) / BINS
    if float(line.std()) < NARROWEST:
        line = np.median(line) + NARROWEST * norm.ppf(shares)
    edges: np.ndarray = np.quantile(expit(line), shares)
    return edges
