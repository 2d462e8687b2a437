"""A study's questions spend its ε, no more and no less, by independent accountants."""

from math import sqrt

import numpy as np
import pytest
from dp_accounting import ComposedDpEvent, GaussianDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

from common.errors import StudyError
from common.privacy_plan import (
    clip_of,
    epsilon_of,
    noise_of_gradient,
    noise_of_histograms,
    noise_of_moments,
    squared_budget,
    times_of,
)
from common.splits import outer_splits_of, schemes_of
from common.study import Study
from tests.private_studies import private_study

STUDIES = [
    private_study({"epsilon": 1.0, "iterations": 1}),
    private_study({"epsilon": 4.0, "iterations": 7}),
    private_study({"epsilon": 2.0, "clip": 3.0}, validation={"folds": 5, "leave_one_hospital_out": False}),
    private_study({}, validation={"folds": 3, "repeats": 4, "leave_one_hospital_out": False}),
    private_study(
        {"epsilon": 3.0},
        model={"kind": "network"},
        network={"hidden": [4], "rounds": 25},
        validation={"folds": 2, "leave_one_hospital_out": False},
    ),
]


def events_of(study: Study, columns: int) -> list[GaussianDpEvent]:
    """Everything that one patient is in, as noise over sensitivity: what an accountant composes."""
    folds = study.validation.folds
    gradients = []
    for split in outer_splits_of(study, ()):
        ratio = noise_of_gradient(study, split, columns) / clip_of(study, columns)
        # of a repeat's folds, one holds the patient out: of these a patient is in all but one
        if split == "final" or not split.endswith(f"/{folds - 1}"):
            gradients += [GaussianDpEvent(ratio)] * times_of(study, "private_gradient")
    moments = GaussianDpEvent(noise_of_moments(study, columns) / sqrt(2 * columns))
    histograms = [GaussianDpEvent(noise_of_histograms(study))] * len(schemes_of(study))
    return [moments, *gradients, *histograms]


@pytest.mark.parametrize("study", STUDIES)
def test_all_questions_together_spend_the_epsilon_by_the_pld_accountant(study: Study) -> None:
    private = study.privacy.differential
    assert private is not None
    accountant = PLDAccountant(value_discretization_interval=1e-3).compose(ComposedDpEvent(events_of(study, 20)))
    assert accountant.get_epsilon(private.delta) == pytest.approx(private.epsilon, rel=0.01)


@pytest.mark.parametrize("study", STUDIES)
def test_the_rdp_accountant_gives_an_upper_bound_close_by(study: Study) -> None:
    private = study.privacy.differential
    assert private is not None
    bound = RdpAccountant().compose(ComposedDpEvent(events_of(study, 20))).get_epsilon(private.delta)
    assert private.epsilon * 0.999 <= bound <= private.epsilon * 1.2


def test_compositions_of_a_known_gaussian_have_its_epsilon() -> None:
    """Ten Gaussians of σ = 10 are one of σ = √10."""
    by_dp_accounting = PLDAccountant(value_discretization_interval=1e-4).compose(GaussianDpEvent(10.0), 10)
    assert epsilon_of(10 * 0.01, 1e-6) == pytest.approx(by_dp_accounting.get_epsilon(1e-6), rel=1e-3)
    assert epsilon_of(0.0, 1e-6) == 0.0


def test_a_larger_epsilon_allows_less_noise() -> None:
    budgets = [squared_budget(private_study({"epsilon": e})) for e in (0.5, 1, 2, 4, 8)]
    assert (np.diff(budgets) > 0).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"validation": {"folds": 5}}, "leave_one_hospital_out"),
        ({"harmonisation": {"method": "combat"}}, "harmonisation.method"),
        ({"model": {"kind": "logistic", "penalty": "lasso"}}, "model"),
        ({"model": {"kind": "logistic", "strength": "cross-validated"}}, "model.strength"),
        ({"imputation": {"method": "mean"}}, "imputation"),
        ({"compare": {"a": {"radiomics": "all"}, "b": {"radiomics": "all"}}}, "compare"),
        ({"predictors": {"clinical": ["age"], "radiomics": "all"}}, "variables.age"),
        ({"predictors": {"radiomics": ["other"]}}, "bounds"),
    ],
)
def test_what_would_leave_without_noise_is_refused_in_the_study_file(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(StudyError, match=said.replace(".", r"\.")):
        private_study({}, **changes)


def test_a_study_without_masks_cannot_share_noise() -> None:
    with pytest.raises(StudyError, match="secure_sum"):
        private_study({}, privacy={"secure_sum": False, "differential": {"epsilon": 1, "bounds": {"*": [0, 1]}}})
