"""What a private study spends its budget on, and how much noise each question therefore carries.

Two data sets are neighbours where one patient's record is blanked: it adds zeros to every sum, while numbers of
patients stay public ("zero-out"; replacing the record by another one costs twice the ε at most). A sum whose L2 norm
changes by Δ at most gets Gaussian noise of standard deviation σ and costs μ² = (Δ/σ)²; costs add up exactly over
adaptive questions (Dong, Roth and Su 2022, doi:10.1111/rssb.12454), and √Σμ² has the (ε, δ) of one Gaussian mechanism
(Balle and Wang 2018), which dp-accounting works out. With ε, δ given, a study has μ² to spend:

    private_moments      10 %   Σu, Σu² a column over all patients, once
    private_gradient     70 %   shared evenly by its steps; half for the final model, half for the folds' models
    private_histograms   20 %   predicted risk by class, once

Every hospital adds noise of variance σ²/t, t = ⌊2n/3⌋ + 1 of n hospitals, so that a total holds σ² although a third of
them should not have added theirs, or know it.
"""

from collections.abc import Iterable
from functools import lru_cache
from math import sqrt

from common.query import FEWEST_HOSPITALS
from common.splits import FINAL, schemes_of
from common.study import Study

SHARES = {"private_moments": 0.10, "private_gradient": 0.70, "private_histograms": 0.20}
"""Of the study's μ², by question."""
OF_THE_FINAL_MODEL = 0.5
CLIP_OF_GRADIENTS = 1.0
ROUNDED = 1 + 1e-6
"""Contributions are rounded to a grid some 2⁻³² of the noise: by that much a patient's may be longer."""


def is_private(study: Study) -> bool:
    """Whether all totals of the study carry noise."""
    return study.privacy.differential is not None


def squared_budget(study: Study) -> float:
    """The μ² that the study's ε and δ allow."""
    private = study.privacy.differential
    if private is None:
        raise ValueError("the study has no privacy.differential")
    return _squared(private.epsilon, private.delta)


@lru_cache(maxsize=256)
def _squared(epsilon: float, delta: float) -> float:
    from dp_accounting import get_sigma_gaussian  # slow to load, and needed in private studies only

    return float(1.0 / get_sigma_gaussian(epsilon, delta) ** 2)


def epsilon_of(squared: float, delta: float) -> float:
    """The ε of questions that cost this μ² together."""
    from dp_accounting import get_epsilon_gaussian

    return float(get_epsilon_gaussian(1.0 / sqrt(squared), delta)) if squared > 0 else 0.0


def times_of(study: Study, name: str) -> int:
    """How often the study asks a question."""
    private = study.privacy.differential
    if private is None or name != "private_gradient":
        return 1
    return private.iterations if study.network is None else study.network.rounds


def cost_of(study: Study, name: str) -> float:
    """The μ² that one question of this name spends."""
    return squared_budget(study) * SHARES[name] / times_of(study, name)


def clip_of(study: Study, columns: int) -> float:
    """The longest row that a patient may have in the fit; of a network, the longest gradient."""
    private = study.privacy.differential
    given = None if private is None else private.clip
    if given is None:
        return 2 / 3 * sqrt(1 + columns) if study.network is None else CLIP_OF_GRADIENTS
    return given


def noise_of_moments(study: Study, columns: int) -> float:
    """σ in total: |u| and u² are 1 at most in every column."""
    return _sigma(study, "private_moments", sqrt(2 * columns))


def noise_of_gradient(study: Study, split: str, columns: int) -> float:
    """σ in total for one split: a patient is in the training rows of the final model and of the other folds'."""
    folds = study.validation.repeats * (study.validation.folds - 1) if study.validation.folds else 0
    final = OF_THE_FINAL_MODEL if folds else 1.0
    part = final if split == FINAL else (1 - final) / folds
    return _sigma(study, "private_gradient", clip_of(study, columns) / sqrt(part))


def noise_of_histograms(study: Study) -> float:
    """σ in total: a patient is in one cell for every scheme."""
    return _sigma(study, "private_histograms", sqrt(len(schemes_of(study))))


def share_of_noise(roster: Iterable[str]) -> float:
    """What each hospital's noise is of the total's standard deviation."""
    return 1 / sqrt(max(FEWEST_HOSPITALS, 2 * len(set(roster)) // 3 + 1))


def _sigma(study: Study, name: str, sensitivity: float) -> float:
    return ROUNDED * sensitivity / sqrt(cost_of(study, name))
