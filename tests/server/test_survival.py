"""Survival from totals is the pooled one: lifelines, statsmodels and plain loops on real tables."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import AalenJohansenFitter, CoxPHFitter, KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import concordance_index, median_survival_times
from lifelines.utils.concordance import _concordance_summary_statistics
from statsmodels.duration.survfunc import survdiff

from client.queries.follow_up import reverse_median
from common.months import in_days
from server.evaluation.follow_up import follow_up
from server.evaluation.survival import Survival, judge_survival
from server.evaluation.survival_cells import cells_of
from server.evaluation.survival_curves import cumulative_incidence
from tests.server.survival_tables import (
    LABELS,
    TableFederation,
    gbsg2,
    held_out,
    lung,
    outcome_of,
    rossi,
    survival_study,
)

TABLES: dict[str, Callable[[], pd.DataFrame]] = {"gbsg2": gbsg2, "rossi": rossi, "lung": lung}
HORIZONS = {"gbsg2": (12, 24, 36, 60), "rossi": (6, 9), "lung": (6, 12, 18)}


@pytest.fixture(scope="module", params=list(TABLES))
def named(request: pytest.FixtureRequest) -> tuple[str, pd.DataFrame, Survival, TableFederation]:
    table = TABLES[request.param]()
    federation = TableFederation(table)
    study = survival_study(horizons_months=list(HORIZONS[request.param]))
    return request.param, table, judge_survival(federation, study, federation.room, "view", LABELS), federation


Named = tuple[str, pd.DataFrame, Survival, TableFederation]


def kaplan_meier(table: pd.DataFrame, *, of_censoring: bool = False) -> KaplanMeierFitter:
    event = 1 - table["event"] if of_censoring else table["event"]
    return KaplanMeierFitter().fit(table["time"], event)


def test_kaplan_meier_and_follow_up_are_the_pooled_curves(named: Named) -> None:
    _, table, found, _ = named
    days = in_days(found.follow_up.months)
    for curve, fitted in (
        (found.follow_up.event_free, kaplan_meier(table)),
        (found.follow_up.followed, kaplan_meier(table, of_censoring=True)),
    ):
        expected = fitted.survival_function_at_times(days).to_numpy()
        enough = curve.at_risk[1:] >= 20
        assert np.abs(curve.value - expected)[enough].max() < 0.012
    interval = kaplan_meier(table).confidence_interval_
    at = interval.index.searchsorted(days, side="right") - 1
    enough = (found.follow_up.event_free.at_risk[1:] >= 20) & (found.follow_up.event_free.value < 0.99)
    assert np.abs(found.follow_up.event_free.low - interval.iloc[at, 0].to_numpy())[enough].max() < 0.015
    assert np.abs(found.follow_up.event_free.high - interval.iloc[at, 1].to_numpy())[enough].max() < 0.015


def test_every_cell_of_months_holds_five_exits(named: Named) -> None:
    _, _, found, _ = named
    exits = found.follow_up.events + found.follow_up.competing + found.follow_up.censored
    assert exits.min() >= 5


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=12, max_size=80),
    st.lists(st.integers(1, 70), min_size=1, max_size=4, unique=True),
)
def test_cells_hold_five_whatever_the_follow_up(exits: list[int], horizons: list[int]) -> None:
    counts = np.array(exits, dtype=float)
    months = cells_of(counts, sorted(horizons))
    held = np.diff([0.0, *np.cumsum(counts)[np.array(months) - 1], counts.sum()])
    assert len(months) == 1 or held.min() >= 5


def test_c_within_hospitals_is_that_of_their_own_pairs(named: Named) -> None:
    _, _, found, federation = named
    for label in LABELS:
        won = pairs = 0.0
        for name, own in federation.hospitals.items():
            right, tied, counted = _concordance_summary_statistics(
                own["time"].to_numpy(), -held_out(own, label), own["event"].to_numpy()
            )
            won, pairs = won + right + tied / 2, pairs + counted
            told = found.judged[label].by_site[name].value
            if told is not None:
                assert told == pytest.approx((right + tied / 2) / counted, abs=5.1e-4)
        assert found.judged[label].within_sites.value == pytest.approx(won / pairs, abs=1e-12)


def test_overall_c_lies_in_its_certificate_and_near_the_pooled_one(named: Named) -> None:
    _, table, found, _ = named
    for label in LABELS:
        expected = concordance_index(table["time"], -held_out(table, label), table["event"])
        judged = found.judged[label]
        assert judged.overall.value is not None
        assert judged.certified[0] <= expected <= judged.certified[1]
        assert judged.overall.value == pytest.approx(expected, abs=0.012)


def test_one_hospital_alone_has_the_exact_c() -> None:
    table = lung()
    federation = TableFederation(table, hospitals=False)
    judged = judge_survival(
        federation, survival_study(horizons_months=[6, 12]), federation.room, "view", ("apparent",)
    )
    expected = concordance_index(table["time"], -held_out(table, "apparent"), table["event"])
    assert judged.judged["apparent"].overall.value == pytest.approx(expected, abs=1e-12)


def test_the_error_of_c_is_that_of_leaving_each_patient_out() -> None:
    table = lung()
    federation = TableFederation(table, hospitals=False)
    judged = judge_survival(
        federation, survival_study(horizons_months=[6, 12]), federation.room, "view", ("apparent",)
    )
    score = -held_out(table, "apparent")
    time, event = table["time"].to_numpy(), table["event"].to_numpy()
    keep = ~np.eye(len(table), dtype=bool)
    without = np.array([concordance_index(time[k], score[k], event[k]) for k in keep])
    n = len(table)
    jackknife = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    error = judged.judged["apparent"].within_sites.standard_error
    assert error == pytest.approx(jackknife, rel=0.05)
    assert judged.judged["apparent"].overall.standard_error == pytest.approx(jackknife, rel=0.2)


def followed(table: pd.DataFrame, days: np.ndarray) -> np.ndarray:
    """G(T−) by the pooled reverse Kaplan–Meier curve."""
    fitted = kaplan_meier(table, of_censoring=True)
    return np.asarray(fitted.survival_function_at_times(days - 1e-6).to_numpy())


def test_auc_at_horizons_is_the_weighted_one_over_all_pairs(named: Named) -> None:
    name, table, found, _ = named
    assert found.follow_up.horizons == HORIZONS[name]
    time, event = table["time"].to_numpy(), table["event"].to_numpy() == 1
    weight = 1 / followed(table, time)
    for label in LABELS:
        score = held_out(table, label)
        for at in found.judged[label].horizons:
            until = in_days([at.month])[0]
            case, control = (time <= until) & event, time > until
            won = (score[case][:, None] > score[control]) + 0.5 * (score[case][:, None] == score[control])
            expected = (weight[case] @ won.mean(axis=1)) / weight[case].sum()
            assert (at.cases, at.followed) == (case.sum(), control.sum())
            assert at.auc.value == pytest.approx(expected, abs=0.007)


def test_brier_score_and_observed_risk_are_the_weighted_ones(named: Named) -> None:
    _, table, found, _ = named
    time, event = table["time"].to_numpy(), table["event"].to_numpy() == 1
    score = held_out(table, "apparent")
    free = kaplan_meier(table)
    for at in found.judged["apparent"].horizons:
        until = in_days([at.month])[0]
        risk = 1 - np.exp(-found.baseline[""][at.month] * np.exp(score))
        case, control = (time <= until) & event, time > until
        weight = np.where(case, 1 / followed(table, time), control / followed(table, np.array([until])))
        expected = (weight * (case - risk) ** 2).mean()
        assert at.brier == pytest.approx(expected, abs=0.004)
        flat = 1 - float(free.predict(until))
        assert at.brier_reference == pytest.approx((weight * (case - flat) ** 2).mean(), abs=0.004)
        assert at.observed == pytest.approx(flat, abs=0.02)
        assert at.expected == pytest.approx(risk.mean(), abs=1e-9)
        predicted = sum(p * n for p, _, n in at.curve) / len(table)
        assert predicted == pytest.approx(risk.mean(), abs=1e-9)


def test_unos_c_is_the_weighted_one_over_all_pairs(named: Named) -> None:
    _, table, found, _ = named
    time, event = table["time"].to_numpy(), table["event"].to_numpy() == 1
    until = in_days(found.follow_up.horizons)[-1]
    weight = np.where(event & (time <= until), followed(table, time) ** -2.0, 0.0)
    later = (time > time[:, None]) | ((time == time[:, None]) & ~event)
    for label in LABELS:
        score = held_out(table, label)
        higher = (score[:, None] > score) + 0.5 * (score[:, None] == score)
        expected = (weight[:, None] * later * higher).sum() / (weight[:, None] * later).sum()
        assert found.judged[label].uno.value == pytest.approx(expected, abs=0.012)


def test_baseline_hazard_is_breslows(named: Named) -> None:
    name, table, found, _ = named
    columns = [c for c in table.columns if c not in ("time", "event", "hospital", "fold", "final")]
    columns = [c for c in columns if not c.startswith("kfold")]
    fitted = CoxPHFitter().fit(table[["time", "event", *columns]], "time", "event")
    hazard = fitted.baseline_cumulative_hazard_["baseline cumulative hazard"]
    for month, value in found.baseline[""].items():
        expected = float(hazard[hazard.index <= in_days([month])[0]].iloc[-1])
        assert value == pytest.approx(expected, rel=0.02), name


def test_risk_groups_take_the_cut_offs_of_their_own_training_folds(named: Named) -> None:
    _, table, found, _ = named
    for label in LABELS:
        groups = group_of(table, label)
        sizes = np.bincount(groups, minlength=3)
        assert np.abs(np.array(found.judged[label].groups.patients) - sizes).max() <= 0.03 * len(table)
        assert sum(found.judged[label].groups.patients) == len(table)


def group_of(table: pd.DataFrame, label: str) -> np.ndarray:
    score, group = held_out(table, label), np.zeros(len(table), dtype=int)
    for fold in [None] if label == "apparent" else range(3):
        held = np.ones(len(table), bool) if fold is None else (table["fold"] == fold).to_numpy()
        trained = table["final"] if fold is None else table.loc[~held, f"kfold/0/{fold}"]
        group[held] = np.searchsorted(np.quantile(trained, [1 / 3, 2 / 3]), score[held])
    return group


def test_log_rank_equals_the_stratified_test_on_the_same_groups(named: Named) -> None:
    _, table, found, federation = named
    asked = federation.totals["survival_risk"]
    cuts = federation.arrays["survival_risk"]["cuts"][0]
    splits = list(federation.splits)
    for k, label in enumerate(LABELS):
        score, group = 1 / (1 + np.exp(-held_out(table, label))), np.zeros(len(table), dtype=int)
        for fold in range(3):
            at = splits.index("final" if label == "apparent" else f"kfold/0/{fold}")
            held = (table["fold"] == fold).to_numpy()
            group[held] = np.searchsorted(cuts[at], score[held])
        expected, _ = survdiff(
            table["time"], table["event"], group, strata=table["hospital"].astype("category").cat.codes
        )
        judged = found.judged[label].groups
        assert judged.stratified is not None
        assert judged.overall is not None
        assert judged.stratified.statistic == pytest.approx(expected, rel=1e-8)
        pooled = multivariate_logrank_test(table["time"], group, table["event"]).test_statistic
        assert judged.overall.statistic == pytest.approx(pooled, rel=0.12)
        assert asked.sums["group_exits"][k].sum() == len(table)


def test_groups_curves_are_the_pooled_ones() -> None:
    table = gbsg2()
    federation = TableFederation(table)
    found = judge_survival(federation, survival_study(risk_groups=2), federation.room, "view", ("apparent",))
    groups = found.judged["apparent"].groups
    cut = federation.arrays["survival_risk"]["cuts"][0, 0, 0]
    high = 1 / (1 + np.exp(-held_out(table, "apparent"))) > cut
    for curve, own in zip(groups.curves, (table[~high], table[high]), strict=True):
        expected = kaplan_meier(own).survival_function_at_times(in_days(curve.months)).to_numpy()
        assert np.abs(curve.value - expected)[curve.at_risk[1:] >= 20].max() < 0.012


def test_cumulative_incidence_is_aalen_johansens_and_below_one_minus_kaplan_meier() -> None:
    table = gbsg2()
    code = np.where(table["event"] == 1, np.where(table["age"] > 0.3, 2, 1), 0)
    competing = table.assign(event=(code == 1).astype(float), competing=code == 2)
    study = survival_study(event_codes={"event": [1], "competing": [2]})
    found = follow_up(TableFederation(competing), outcome_of(study))
    fitted = AalenJohansenFitter(calculate_variance=False, seed=1).fit(table["time"], code, event_of_interest=1)
    curve = fitted.cumulative_density_.iloc[:, 0]
    days = in_days(found.months)
    expected = curve.to_numpy()[curve.index.searchsorted(days, side="right") - 1]
    enough = found.event_free.at_risk[1:] >= 20
    assert found.incidence is not None
    assert np.abs(found.incidence - expected)[enough].max() < 0.01
    assert (1 - found.event_free.value - found.incidence)[enough][-1] > 0.05
    assert (1 - found.event_free.value >= found.incidence - 1e-12).all()


def test_without_competing_events_incidence_is_one_minus_kaplan_meier(named: Named) -> None:
    _, _, found, _ = named
    f = found.follow_up
    nobody = np.zeros(len(f.events))
    incidence = cumulative_incidence(f.months, f.events, nobody, f.censored)
    assert np.abs(incidence - (1 - f.event_free.value)).max() < 1e-12


def test_a_hospitals_own_median_follow_up_is_the_reverse_kaplan_meier_one(named: Named) -> None:
    _, _, _, federation = named
    for own in federation.hospitals.values():
        # Of one day's patients, those with the event leave the reverse risk set first.
        times = own["time"] - 1e-6 * own["event"]
        expected = median_survival_times(KaplanMeierFitter().fit(times, 1 - own["event"]))
        found = reverse_median(own["time"].to_numpy(), own["event"].to_numpy() == 0)
        assert found == (None if np.isinf(expected) else pytest.approx(expected))


def test_the_exchanges_do_not_grow_with_the_labels(named: Named) -> None:
    _, _, _, federation = named
    assert len(federation.asked) <= 14
