"""An event at a horizon by inverse probability of censoring: what a statistician with all rows gets, nobody dropped."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import AalenJohansenFitter, KaplanMeierFitter
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from common.errors import HospitalError, StudyError, StudyStopped
from common.months import DAYS_A_MONTH
from common.outcomes import HorizonOutcome
from common.query import View
from common.room import Room, Seat
from common.study import Study
from server.evaluation.horizon import Horizon, judge_horizon
from server.evaluation.usefulness import decision_curve
from server.methods.problems import Fits, Problem, fit_problems
from server.methods.weighing import Weighing, weigh_followed
from tests.server.horizon_tables import COLUMNS, horizon_study, weighted_auc, weights_by
from tests.server.survival_tables import gbsg2, lung, rossi
from tests.server.tables import Tables, standardised, tables

DATA = {
    "gbsg2": (gbsg2, 36, COLUMNS),
    "lung": (lung, 12, ["age", "sex", "ph.ecog"]),
    "rossi": (rossi, 10, ["fin", "age", "prio", "mar", "race"]),
}
LABELS = ("apparent", "kfold/0")
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True)
class Run:
    """A weighed, fitted and judged table."""

    table: pd.DataFrame
    months: int
    columns: list[str]
    federation: Tables
    weighing: Weighing
    fits: Fits
    horizon: Horizon

    @property
    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """Outcome and weight of every patient by the final curve, worked out patient by patient."""
        return weights_by(self.table, self.months, list(self.weighing.months), self.weighing.followed[0])

    def risk(self, split: int = 0) -> np.ndarray:
        """Of every patient by one split's model."""
        design = sm.add_constant(standardised(self.table, self.columns))
        predicted: np.ndarray = expit(design @ self.fits.beta[split])
        return predicted


@dataclass(frozen=True)
class Standardised:
    """All that the step needs of a prepared pipeline."""

    view: str


def weighed(table: pd.DataFrame, months: int, columns: list[str]) -> tuple[Tables, Standardised, Weighing]:
    federation, view = tables(table, ["time", "event"], columns, **horizon_study(months, columns))
    room = Room(tuple(Seat(hospital=n, patients=len(m.cohort.ids)) for n, m in federation.members.items()))
    prepared, weighing = weigh_followed(federation, federation.study, Standardised(view), room)  # type: ignore[arg-type]
    assert weighing is not None
    return federation, prepared, weighing  # type: ignore[return-value]


def run_of(table: pd.DataFrame, months: int, columns: list[str]) -> Run:
    federation, prepared, weighing = weighed(table, months, columns)
    problems = [Problem(split, tuple(range(len(columns)))) for split in federation.splits]
    nothing = np.zeros(len(problems))
    fits = fit_problems(federation, federation.study, prepared.view, problems, nothing, nothing, len(columns))
    linear = View("linear", prepared.view, federation.splits, {}, {"beta": fits.beta[:, None, :]})
    judged = judge_horizon(federation, federation.keep(linear), LABELS, weighing, THRESHOLDS)
    assert judged is not None
    return Run(table, months, columns, federation, weighing, fits, judged)


@cache
def run_on(name: str) -> Run:
    table, months, columns = DATA[name]
    return run_of(table(), months, columns)


@pytest.fixture(scope="module", params=DATA)
def run(request: pytest.FixtureRequest) -> Run:
    return run_on(request.param)


@pytest.fixture
def breast() -> Run:
    return run_on("gbsg2")


def test_the_final_fit_is_the_pooled_weighted_fit(run: Run) -> None:
    outcome, weight = run.known
    there = weight > 0
    design = sm.add_constant(standardised(run.table, run.columns))
    pooled = sm.GLM(outcome[there], design[there], family=sm.families.Binomial(), var_weights=weight[there])
    assert np.abs(run.fits.beta[0] - pooled.fit(tol=1e-14, maxiter=100).params).max() < 1e-8


def test_every_fold_is_weighted_by_its_own_training_rows(breast: Run) -> None:
    design = sm.add_constant(standardised(breast.table, breast.columns))
    for k, split in enumerate(breast.federation.splits):
        training = np.zeros(len(breast.table), dtype=bool)
        for name, members in breast.federation.members.items():
            training[breast.table["hospital"].to_numpy() == name] = members.training(split)
        curve = breast.weighing.followed[k]
        own = breast.table[training]
        reverse = KaplanMeierFitter().fit(own["time"], 1 - own["event"])
        expected = reverse.predict(np.array(breast.weighing.months) * DAYS_A_MONTH).to_numpy()
        assert np.abs(curve[1:] - expected).max() < 0.01
        outcome, weight = weights_by(breast.table, breast.months, list(breast.weighing.months), curve)
        there = training & (weight > 0)
        pooled = sm.GLM(outcome[there], design[there], family=sm.families.Binomial(), var_weights=weight[there])
        assert np.abs(breast.fits.beta[k] - pooled.fit(tol=1e-14, maxiter=100).params).max() < 1e-8
    assert len(np.unique(breast.weighing.followed[:, -1])) == len(breast.federation.splits)


def test_mean_predicted_risk_is_kaplan_meiers_and_neither_of_the_naive_shares(run: Run) -> None:
    outcome, _ = run.known
    curve = KaplanMeierFitter().fit(run.table["time"], run.table["event"])
    expected = 1 - float(curve.predict(run.months * DAYS_A_MONTH))
    assert run.weighing.incidence == pytest.approx(expected, abs=0.01)
    assert run.risk().mean() == pytest.approx(expected, abs=0.012)
    dropped, taken_for_free = np.nanmean(outcome), (outcome == 1).mean()
    if np.isnan(outcome).any():
        assert min(dropped - expected, expected - taken_for_free) > 0.02


def test_the_auc_of_all_pairs_of_patients_lies_in_the_certificate(run: Run) -> None:
    outcome, weight = run.known
    for label in LABELS:
        found = run.horizon.discrimination[label]
        true = weighted_auc(held_out(run, label), outcome, weight)
        assert found.certified[0] - 1e-12 <= true <= found.certified[1] + 1e-12
        assert found.certified[1] - found.certified[0] < 0.1
        assert found.overall.value == pytest.approx(true, abs=0.01)
        assert (found.events, run.horizon.free[label]) == ((outcome == 1).sum(), (outcome == 0).sum())


def test_the_auc_within_hospitals_is_exact(run: Run) -> None:
    outcome, weight = run.known
    risk, won, pairs = run.risk(), 0.0, 0.0
    for hospital in run.federation.members:
        here = run.table["hospital"].to_numpy() == hospital
        of_each = [float(weight[here & (outcome == c)].sum()) for c in (0, 1)]
        value = weighted_auc(risk[here], outcome[here], weight[here])
        won, pairs = won + value * of_each[0] * of_each[1], pairs + of_each[0] * of_each[1]
        said = run.horizon.discrimination["apparent"].by_site[hospital].value
        assert said is None or said == pytest.approx(value, abs=5.1e-4)
    assert run.horizon.discrimination["apparent"].within_sites.value == pytest.approx(won / pairs, abs=1e-12)


def test_brier_score_and_calibration_are_the_pooled_weighted_ones(run: Run) -> None:
    outcome, weight = run.known
    there = weight > 0
    risk = held_out(run, "kfold/0")
    found = run.horizon.discrimination["kfold/0"]
    assert found.brier == pytest.approx(np.nansum(weight * (outcome - risk) ** 2) / len(risk), abs=1e-12)
    assert found.observed_to_expected == pytest.approx(run.weighing.incidence / risk.mean(), abs=1e-12)
    line = sm.add_constant(logit(risk[there]))
    pooled = sm.GLM(outcome[there], line, family=sm.families.Binomial(), var_weights=weight[there]).fit(tol=1e-14)
    calibration = run.horizon.calibration["kfold/0"]
    assert calibration.intercept is not None
    assert calibration.slope is not None
    assert (calibration.intercept[0], calibration.slope[0]) == pytest.approx(tuple(pooled.params), abs=1e-6)
    wider = np.sqrt((weight**2).sum() / weight.sum())
    assert calibration.slope[2] - calibration.slope[0] == pytest.approx(1.959964 * wider * pooled.bse[1], rel=1e-4)


def test_net_benefit_is_that_of_all_patients_by_their_weights(run: Run) -> None:
    """Σ w over those with the event above the threshold, less the others' at its odds; nobody is dropped."""
    outcome, weight = run.known
    risk = run.risk()
    points = decision_curve(run.horizon.discrimination["apparent"], THRESHOLDS, run.horizon.spread["apparent"])
    assert len(points) >= 3
    for point in points:
        above = risk > point.threshold
        odds = point.threshold / (1 - point.threshold)
        true, false = (weight[above & (outcome == had)].sum() / weight.sum() for had in (1, 0))
        assert point.model == pytest.approx(true - odds * false, abs=1e-9)
        everybody = weight[outcome == 1].sum() / weight.sum()
        assert point.treat_all == pytest.approx(everybody - odds * (1 - everybody), abs=1e-9)
        assert point.low < point.model < point.high


def test_without_loss_before_the_horizon_it_is_plain_logistic_regression() -> None:
    run = run_on("rossi")
    outcome, weight = run.known
    assert (weight == 1).all()
    x = standardised(run.table, run.columns)
    plain = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(x, outcome)
    assert np.abs(run.fits.beta[0, 1:] - plain.coef_[0]).max() < 1e-5
    low, high = run.horizon.discrimination["apparent"].certified
    assert low <= roc_auc_score(outcome, plain.decision_function(x)) <= high


def test_after_a_competing_event_a_patient_is_known_to_be_free_of_the_event() -> None:
    table = gbsg2()
    table["competing"] = (table["event"] == 0) & (np.random.default_rng(2).random(len(table)) < 0.4)
    run = run_of(table, 36, COLUMNS)
    outcome, _ = run.known
    early = (table["time"] <= 36 * DAYS_A_MONTH) & table["competing"]
    assert (outcome[early] == 0).all()
    kind = np.where(table["competing"], 2, table["event"].astype(int))
    curve = AalenJohansenFitter(calculate_variance=False, seed=1).fit(table["time"], kind, event_of_interest=1)
    expected = float(curve.cumulative_density_.loc[: 36 * DAYS_A_MONTH].iloc[-1, 0])
    assert run.weighing.incidence == pytest.approx(expected, abs=0.01)
    assert run.risk().mean() == pytest.approx(expected, abs=0.015)
    ignored = 1 - float(KaplanMeierFitter().fit(table["time"], table["event"]).predict(36 * DAYS_A_MONTH))
    assert ignored - expected > 0.01


def test_a_horizon_that_nobody_is_followed_to_stops_the_study() -> None:
    with pytest.raises(StudyStopped, match=r"outcome\.months: .*take an earlier horizon, or .*kind: survival"):
        weighed(lung(), 34, ["age", "sex", "ph.ecog"])


@pytest.mark.parametrize(
    ("parameters", "followed", "said"),
    [
        ({"months": [12, 36]}, [1.0, 0.8, 0.9], "rises"),
        ({"months": [12, 36]}, [1.0, 0.5, 0.01], "nobody stands for more than 20"),
        ({"months": [12, 36]}, [0.9, 0.8, 0.7], "starts at 1"),
        ({"months": [12, 48]}, [1.0, 0.9, 0.8], "rise from 1 to the horizon, 36"),
        ({"months": [36, 12]}, [1.0, 0.9, 0.8], "rise from 1 to the horizon, 36"),
    ],
)
def test_hospitals_refuse_weights_that_are_no_curve_up_to_the_horizon(
    parameters: dict[str, Any], followed: list[float], said: str
) -> None:
    federation, view = tables(gbsg2(), ["time", "event"], COLUMNS, **horizon_study(36, COLUMNS))
    weigh = View("weigh", view, ("final",), parameters, {"followed": np.array([followed])})
    with pytest.raises(HospitalError, match=said):
        fit_at_zero(federation, federation.keep(weigh))


def test_a_fit_without_weights_is_refused() -> None:
    federation, view = tables(gbsg2(), ["time", "event"], COLUMNS, **horizon_study(36, COLUMNS))
    with pytest.raises(HospitalError, match="needs a view that says how long patients are followed"):
        fit_at_zero(federation, view)


def test_weights_on_fewer_than_ten_known_patients_are_refused() -> None:
    table = gbsg2()
    few = table[table["hospital"] == "alder"].index[8:]
    table.loc[few, ["time", "event"]] = [100.0, 0.0]
    federation, prepared, _ = weighed(table, 36, COLUMNS)
    federation.lower_profile = False
    with pytest.raises(HospitalError, match=r"its weights rest on \d\.\d patients, this hospital asks for 10"):
        fit_at_zero(federation, prepared.view)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"validation": {"bootstrap": 200}}, "bootstrap: it has no weights"),
        ({"validation": {"external": ["alder"]}}, "external: external hospitals' follow-up is their own"),
        ({"subgroups": [{"column": "age", "cut_offs": [50]}]}, "subgroups: it has no weights"),
        ({"model": {"kind": "network"}, "network": {}}, "a network is not fitted to an event at a horizon"),
        ({"selection": {"screening": "t"}}, "t compares classes, the outcome is horizon: write cox"),
        ({"model": {"kind": "cox"}}, "cox does not fit a horizon outcome: write logistic"),
    ],
)
def test_what_has_no_weights_is_refused_in_words(changes: dict[str, Any], said: str) -> None:
    content = {"study": "s", **horizon_study(36, ["age"]), **changes}
    with pytest.raises(StudyError, match=said):
        Study.from_content(content, "study.yaml")


def test_codes_and_landmark_are_those_of_survival() -> None:
    outcome = {"kind": "horizon", "time": "t", "event": "e", "months": 24, "landmark_days": 90}
    codes = {"event": ["recurrence"], "competing": ["death"], "censored": ["none"]}
    study = Study.from_content(
        {"study": "s", **horizon_study(24, ["age"]), "outcome": outcome | {"event_codes": codes}}, "study.yaml"
    )
    assert isinstance(study.outcome, HorizonOutcome)
    assert study.variable("e").levels == ["none", "recurrence", "death"]
    assert study.outcome_columns() == ["t", "e"]


def held_out(run: Run, label: str) -> np.ndarray:
    """Every patient's risk by the model that did not see it, from the hospitals' own folds."""
    if label == "apparent":
        return run.risk()
    risk = np.full(len(run.table), np.nan)
    for k, split in enumerate(run.federation.splits[1:], start=1):
        by_model = run.risk(k)
        for name, members in run.federation.members.items():
            here = np.flatnonzero(run.table["hospital"].to_numpy() == name)[members.held_out(split)]
            risk[here] = by_model[here]
    return risk


def fit_at_zero(federation: Tables, view: str) -> None:
    """The first step of a fit of the final model."""
    width = len(federation.study.predictors.clinical)
    parameters = {"of": [0], "columns": [list(range(width))]}
    federation.ask(
        "logistic", view=view, splits=("final",), parameters=parameters, arrays={"beta": np.zeros((1, 1 + width))}
    )
