"""What the noise takes from a study is what was predicted from public numbers alone."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from client.noise import Release
from client.queries.private_gradient import noised_gradient
from client.queries.private_moments import noised_moments
from common.privacy_plan import clip_of, noise_of_gradient, noise_of_moments
from common.query import Total
from common.study import Study
from server.methods.private_cost import predicted_cost
from server.methods.private_logistic import fit_privately
from server.methods.private_pipeline import PrivatelyPrepared, standardisation
from tests.private_studies import FEATURES, private_study, radiomics

NEW = radiomics(3000, seed=99)
BOUND = 4.0


@dataclass
class InMemory:
    """All patients' standardised rows at one place, with the noise that a total has."""

    study: Study
    matrix: np.ndarray
    outcome: np.ndarray
    splits: tuple[str, ...] = field(default=("final",))

    def ask(self, name: str, **asked: Any) -> Total:
        assert name == "private_gradient"
        release = Release.of(noise_of_gradient(self.study, "final", 20), 1.0)
        beta = asked["arrays"]["beta"][0]
        gradient = noised_gradient(self.matrix, self.outcome, beta, clip_of(self.study, 20), release)
        return Total(sums={"gradient": gradient[None]}, disclosed={})


def auc_with_noise(study: Study, patients: int, seed: int) -> tuple[float, float]:
    """On new patients: the AUC with noise, and that of scikit-learn's fit without."""
    table = radiomics(patients, seed)
    x, y = table[FEATURES].to_numpy(), table["mvi"].to_numpy()
    bounded = np.clip(x / BOUND, -1, 1)
    sigma = noise_of_moments(study, 20)
    first, second = noised_moments(bounded, Release.of(sigma, 1.0)) / patients
    centre, spread = standardisation(first, second, sigma / patients)
    prepared = PrivatelyPrepared("", tuple(FEATURES), -BOUND * np.ones(20), BOUND * np.ones(20), centre, spread)
    federation: Any = InMemory(study, (bounded - centre) / spread, y)
    beta = fit_privately(federation, study, prepared, patients, noise=True)
    new = NEW[FEATURES].to_numpy()
    pooled = LogisticRegression().fit(x, y).coef_[0]
    own = prepared.in_own_units(beta)[0, 1:]
    return float(roc_auc_score(NEW["mvi"], new @ own)), float(roc_auc_score(NEW["mvi"], new @ pooled))


@pytest.mark.parametrize(("patients", "epsilon"), [(150, 2.0), (500, 2.0), (500, 4.0), (1500, 2.0)])
def test_the_noise_takes_what_was_predicted(patients: int, epsilon: float) -> None:
    study = private_study({"epsilon": epsilon})
    runs = np.array([auc_with_noise(study, patients, seed) for seed in range(25)])
    noisy, pooled = runs.mean(axis=0)
    assert pooled - noisy == pytest.approx(predicted_cost(study, patients, 20).lost, abs=0.035)


def test_about_five_hundred_patients_pass_at_epsilon_2_and_three_times_fifty_do_not() -> None:
    assert not predicted_cost(private_study({"epsilon": 2.0}), 500, 20).pointless
    for epsilon in (1.0, 2.0, 4.0):
        assert predicted_cost(private_study({"epsilon": epsilon}), 150, 20).pointless


def test_more_patients_more_budget_and_fewer_columns_cost_less() -> None:
    lost = [
        predicted_cost(private_study({"epsilon": e}), n, p).lost
        for e, n, p in [(1, 200, 20), (2, 200, 20), (2, 800, 20), (2, 800, 5)]
    ]
    assert (np.diff(lost) < 0).all()
