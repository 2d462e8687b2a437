"""Diagnostics from sums and histograms say what scipy says on the pooled table."""

import numpy as np
import pytest
from scipy import stats

from common.dimension import columns_allowed
from harmonization.agreement import concordance, pair_sums
from harmonization.biology import covariate_t, kept
from harmonization.hospital_classifier import (
    mean_separation,
    permutation_null,
    separation,
    separation_answer,
    separation_sums,
    strongest,
)
from harmonization.hospital_effect import distance_from_median, effect_sums, hospital_effect
from harmonization.kruskal import bins, histogram_sums, kruskal, midranks, rank_sums
from harmonization.sums import combat_sums
from tests.harmonization.pooled_combat import Table, add, make_table


def effect_of(table: Table, values: np.ndarray, covariates: bool = False, **offsets: object) -> object:
    rows = [table.hospital == h for h in table.hospitals]
    return hospital_effect(
        add(effect_sums(values[r], table.covariates[r] if covariates else None, **offsets) for r in rows)
    )


def by_hospital(table: Table, values: np.ndarray) -> list[np.ndarray]:
    return [values[table.hospital == h] for h in table.hospitals]


def test_anova_equals_scipy_on_the_pooled_table() -> None:
    table = make_table(60, shift=0.3)
    expected = stats.f_oneway(*by_hospital(table, table.features))
    for offsets in ({}, {"offset_features": table.features.mean(axis=0).round(1)}):
        effect = effect_of(table, table.features, **offsets)
        np.testing.assert_allclose(effect.f, expected.statistic, rtol=1e-9)
        np.testing.assert_allclose(effect.p_value, expected.pvalue, rtol=1e-8)
    between = sum(
        len(g) * (g.mean(axis=0) - table.features.mean(axis=0)) ** 2 for g in by_hospital(table, table.features)
    )
    np.testing.assert_allclose(
        effect.eta_squared, between / (table.features.var(axis=0) * len(table.hospital)), rtol=1e-9
    )


def test_brown_forsythe_equals_scipy_on_the_pooled_table() -> None:
    table = make_table(61, shift=0.3)
    distances = np.vstack([distance_from_median(values) for values in by_hospital(table, table.features)])
    expected = stats.levene(*by_hospital(table, table.features), center="median", axis=0)
    effect = effect_of(table, distances)
    np.testing.assert_allclose(effect.f, expected.statistic, rtol=1e-9)
    np.testing.assert_allclose(effect.p_value, expected.pvalue, rtol=1e-8)


def test_the_hospital_effect_beyond_covariates_equals_statsmodels() -> None:
    import statsmodels.api as sm

    table = make_table(62, shift=0.3)
    effect = effect_of(table, table.features, covariates=True, offset_covariates=[40.0, 0.0])
    dummies = (table.hospital[:, None] == np.array(table.hospitals[1:])).astype(float)
    for j in range(5):
        small = sm.OLS(table.features[:, j], sm.add_constant(table.covariates)).fit()
        large = sm.OLS(table.features[:, j], sm.add_constant(np.hstack([table.covariates, dummies]))).fit()
        f, p, _ = large.compare_f_test(small)
        assert effect.f[j] == pytest.approx(f, rel=1e-8)
        assert effect.p_value[j] == pytest.approx(p, rel=1e-7)


def test_scanners_are_compared_as_batches_of_their_own() -> None:
    table = make_table(63, shift=0.3)
    scanner = np.random.default_rng(63).choice(["A", "B"], len(table.hospital))
    total = add(effect_sums(table.at(h)[1], batches=scanner[table.hospital == h]) for h in table.hospitals)
    groups = [table.features[(table.hospital == h) & (scanner == s)] for h in table.hospitals for s in ("A", "B")]
    np.testing.assert_allclose(hospital_effect(total).f, stats.f_oneway(*groups).statistic, rtol=1e-9)


def test_omega_squared_is_about_zero_without_an_effect_and_constant_features_have_none() -> None:
    table = make_table(64, (80, 80, 80), features=400, shift=0.0)
    effect = effect_of(table, table.features, covariates=True)
    assert abs(effect.omega_squared.mean()) < 0.002
    assert effect.share() == pytest.approx(0.05, abs=0.03)
    flat = effect_of(table, np.column_stack([np.full(240, 3.0), np.zeros(240)]))
    assert flat.f.tolist() == [0.0, 0.0]
    assert flat.p_value.tolist() == [1.0, 1.0]


def test_perfectly_separated_hospitals_have_a_p_value_of_zero_not_nan() -> None:
    table = make_table(65)
    values = np.array([[float(h[1])] for h in table.hospital])
    assert effect_of(table, values).p_value[0] == 0.0


def federated_kruskal(table: Table, count: int) -> object:
    mean, deviation = table.features.mean(axis=0), table.features.std(axis=0)
    binned = [bins(values, mean, deviation, count) for values in by_hospital(table, table.features)]
    histogram = add(histogram_sums(b, count) for b in binned)
    ranks = midranks(histogram)
    return kruskal(histogram, add(rank_sums(b, ranks) for b in binned))


def test_kruskal_from_histograms_is_scipys_on_the_binned_values_and_close_on_the_raw() -> None:
    table = make_table(66, (60, 70, 50), shift=0.4)
    found = federated_kruskal(table, 256)
    mean, deviation = table.features.mean(axis=0), table.features.std(axis=0)
    binned = bins(table.features, mean, deviation, 256)
    exact = stats.kruskal(*by_hospital(table, binned))
    np.testing.assert_allclose(found.h, exact.statistic, rtol=1e-10)
    np.testing.assert_allclose(found.p_value, exact.pvalue, rtol=1e-9)
    raw = stats.kruskal(*by_hospital(table, table.features)).statistic
    assert np.median(np.abs(found.h / raw - 1)) < 0.005
    coarse = federated_kruskal(table, 18)
    assert np.median(np.abs(coarse.h / raw - 1)) < 0.05


def test_the_t_of_preserved_covariates_equals_the_pooled_regression_with_hospital_dummies() -> None:
    import statsmodels.api as sm

    table = make_table(67)
    t = covariate_t(add(combat_sums(*table.at(h)) for h in table.hospitals), batches=3)
    dummies = (table.hospital[:, None] == np.array(table.hospitals)).astype(float)
    design = np.hstack([dummies, table.covariates])
    expected = np.array([sm.OLS(table.features[:, j], design).fit().tvalues[3:] for j in range(30)]).T
    np.testing.assert_allclose(t, expected, rtol=1e-7, atol=1e-9)
    assert kept(t, 0.5 * t) == pytest.approx(0.5)
    assert kept(0.1 * np.ones((1, 3)), t[:1, :3]) == 1.0


def test_concordance_equals_lins_formula_on_the_pooled_pairs() -> None:
    rng = np.random.default_rng(68)
    truth = rng.normal(1e4, 50.0, (90, 4))
    x, y = truth + rng.normal(0, 20, truth.shape), truth * 1.001 + rng.normal(0, 20, truth.shape)
    total = add(pair_sums(a, b, np.full(4, 1e4)) for a, b in zip(np.split(x, 3), np.split(y, 3), strict=True))
    s_xy = ((x - x.mean(axis=0)) * (y - y.mean(axis=0))).mean(axis=0)
    expected = 2 * s_xy / (x.var(axis=0) + y.var(axis=0) + (x.mean(axis=0) - y.mean(axis=0)) ** 2)
    np.testing.assert_allclose(concordance(total), expected, rtol=1e-10)
    assert concordance(pair_sums(np.ones((3, 1)), np.ones((3, 1)))).tolist() == [1.0]


def federated_separation(x: np.ndarray, hospital: np.ndarray, train: np.ndarray) -> tuple[float, object, object]:
    names = np.unique(hospital)
    own_train = {h: separation_sums(x[train & (hospital == h)]) for h in names}
    own_test = {h: separation_sums(x[~train & (hospital == h)]) for h in names}
    total_train, total_test = add(own_train.values()), add(own_test.values())
    answers = [
        separation_answer(separation(own_train[h], total_train, own_test[h], total_test), own_test[h]["n"])
        for h in names
    ]
    return mean_separation(add(answers)), total_train, total_test


def classifier_rows(seed: int, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hospital = np.repeat(np.arange(4), (60, 80, 70, 50))
    mix = rng.normal(size=(8, 8))
    x = rng.normal(size=(260, 8)) @ mix + shift * rng.normal(size=(4, 8))[hospital] @ mix
    return x, hospital, rng.random(260) < 0.6


def test_the_hospital_classifier_agrees_with_a_pooled_linear_discriminant_on_held_out_rows() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import roc_auc_score

    x, hospital, train = classifier_rows(69, 0.4)
    found, _, _ = federated_separation(x, hospital, train)
    pooled = []
    for h in range(4):
        tool = LinearDiscriminantAnalysis().fit(x[train], hospital[train] == h)
        pooled.append(roc_auc_score(hospital[~train] == h, tool.decision_function(x[~train])))
    expected = np.average(pooled, weights=np.bincount(hospital[~train]))
    assert found == pytest.approx(expected, abs=0.02)
    assert found > 0.7


def test_the_null_from_totals_is_that_of_permuted_labels() -> None:
    x, hospital, train = classifier_rows(70, 0.0)
    rng = np.random.default_rng(70)
    _, total_train, total_test = federated_separation(x, hospital, train)
    n, m = np.bincount(hospital[train]), np.bincount(hospital[~train])
    null = permutation_null(total_train, total_test, n, m, draws=1000, seed=1)
    permuted = []
    for _ in range(300):
        labels = np.empty_like(hospital)
        labels[train], labels[~train] = rng.permutation(hospital[train]), rng.permutation(hospital[~train])
        permuted.append(federated_separation(x, labels, train)[0])
    assert null.mean() == pytest.approx(np.mean(permuted), abs=0.006)
    assert null.std() == pytest.approx(np.std(permuted), rel=0.15)


def test_planted_hospitals_stand_out_of_the_null_and_absent_ones_do_not() -> None:
    for shift, outside in ((0.4, True), (0.0, False)):
        x, hospital, train = classifier_rows(71, shift)
        found, total_train, total_test = federated_separation(x, hospital, train)
        n, m = np.bincount(hospital[train]), np.bincount(hospital[~train])
        null = permutation_null(total_train, total_test, n, m, draws=400)
        assert (found > np.quantile(null, 0.99)) == outside


def test_the_classifier_takes_no_more_columns_than_patients_allow() -> None:
    f = np.arange(100.0)
    assert len(strongest(f, columns_allowed(60))) == 19
    assert strongest(f, columns_allowed(1000), at_most=3).tolist() == [97, 98, 99]
