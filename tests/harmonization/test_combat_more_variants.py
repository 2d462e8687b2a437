"""Smooth covariates, shared levels and CovBat, against neuroHarmonize or the pooled table done likewise."""

import numpy as np
import pandas as pd
import pytest

from harmonization.apply import estimate, harmonise_batches
from harmonization.covbat import (
    components,
    estimate_scores,
    harmonise_covariance,
    residual_crossproducts,
    residuals,
    score_sums,
)
from harmonization.fit import fit
from harmonization.parameters import CombatSettings
from harmonization.shared_levels import (
    level_crossproducts,
    level_effects,
    level_means,
    level_spread_sums,
    level_sums,
)
from harmonization.splines import SmoothTerm, curvature, spline_columns, with_splines
from harmonization.sums import combat_sums
from tests.harmonization.pooled_combat import (
    Table,
    add,
    federated,
    finish,
    largest_difference,
    make_table,
    pooled_combat,
    pooled_covbat,
)


def smooth_table(seed: int, features: int) -> tuple[Table, SmoothTerm, object]:
    from statsmodels.gam.api import BSplines

    table = make_table(seed, (50, 60, 45), features=features)
    bent = np.sin(table.covariates[:, :1] / 20.0) * table.features.std(axis=0)
    table = Table(table.covariates, table.features + bent, table.hospital)
    basis = BSplines(table.covariates[:, :1], df=10, degree=3)
    knots = np.unique(basis.smoothers[0].knots)
    return table, SmoothTerm(tuple(knots), alpha=3.0), basis.smoothers[0]


def test_spline_columns_and_curvature_are_those_of_statsmodels() -> None:
    table, term, smoother = smooth_table(20, 4)
    assert term.width == 9
    np.testing.assert_allclose(spline_columns(table.covariates[:, 0], term), smoother.basis, atol=1e-13)
    np.testing.assert_allclose(curvature(term), smoother.cov_der2, atol=1e-12 * np.abs(smoother.cov_der2).max())


def test_values_beyond_the_knots_are_taken_as_the_bound_and_missing_ones_stay_missing() -> None:
    term = SmoothTerm((0.0, 1.0, 2.0))
    columns = spline_columns([-5.0, 0.0, 2.0, 9.0, np.nan], term)
    np.testing.assert_array_equal(columns[0], columns[1])
    np.testing.assert_array_equal(columns[2], columns[3])
    assert np.isnan(columns[4]).all()


def test_smooth_covariates_equal_neuroharmonize_with_the_same_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    from neuroHarmonize import harmonizationLearn
    from statsmodels.gam.api import GLMGam

    # neuroHarmonize picks the penalty by a random split of all rows; ours is the study's. Fix it to compare.
    monkeypatch.setattr(GLMGam, "select_penweight_kfold", lambda self, **_: (np.array([3.0]), None))
    table, term, _ = smooth_table(21, 6)
    frame = pd.DataFrame(table.covariates, columns=["size_mm", "sex"])
    frame["SITE"] = table.hospital
    _, expected = harmonizationLearn(table.features, frame, smooth_terms=["size_mm"])
    wide, names, penalty = with_splines(table.covariates, ["size_mm", "sex"], {"size_mm": term})
    assert names[0] == "size_mm:spline1"
    assert names[-1] == "sex"
    harmonised, _ = federated(Table(wide, table.features, table.hospital), CombatSettings(), penalty=penalty)
    assert largest_difference(harmonised, expected, table.features) < 1e-8


def test_smooth_covariates_equal_the_pooled_penalised_regression() -> None:
    table, term, _ = smooth_table(22, 25)
    wide, _, penalty = with_splines(table.covariates, ["size_mm", "sex"], {"size_mm": term})
    wide_table = Table(wide, table.features, table.hospital)
    harmonised, _ = federated(wide_table, CombatSettings(), penalty=penalty)
    assert largest_difference(harmonised, pooled_combat(wide_table, penalty=penalty), table.features) < 1e-9


def shared_rounds(table: Table, vendor: np.ndarray, settings: CombatSettings, **offsets: object) -> np.ndarray:
    """All three rounds, the levels shared by the hospitals."""

    def at(h: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return *table.at(h), vendor[table.hospital == h]

    k = int(vendor.max()) + 1
    means = level_means(add(level_sums(*at(h), k, **offsets) for h in table.hospitals), **offsets)
    total = add(level_crossproducts(*at(h), means, **offsets) for h in table.hospitals)
    parameters = fit(total, settings, **offsets)
    spread = add(level_spread_sums(*at(h), means, parameters) for h in table.hospitals)
    effects = level_effects(spread, means, parameters)
    out = np.empty_like(table.features)
    for h in table.hospitals:
        c, y, levels = at(h)
        out[table.hospital == h], notes = harmonise_batches(c, y, parameters, levels, effects)
        assert notes == []
    return out


@pytest.mark.parametrize("settings", [CombatSettings(), CombatSettings(empirical_bayes=False)])
def test_levels_that_hospitals_share_equal_pooled_combat_over_the_levels(settings: CombatSettings) -> None:
    table = make_table(23, (50, 60, 45, 30))
    vendor = np.random.default_rng(23).integers(0, 3, len(table.hospital))
    expected = pooled_combat(table, empirical_bayes=settings.empirical_bayes, batch=vendor)
    assert largest_difference(shared_rounds(table, vendor, settings), expected, table.features) < 1e-9
    offsets = {"offset_covariates": [50.0, 0.5], "offset_features": table.features.mean(axis=0).round(2)}
    assert largest_difference(shared_rounds(table, vendor, settings, **offsets), expected, table.features) < 1e-9


def test_nested_variables_are_taken_one_after_the_other() -> None:
    table = make_table(24, (50, 60, 45, 30))
    rng = np.random.default_rng(24)
    vendor, kernel = rng.integers(0, 2, len(table.hospital)), rng.integers(0, 3, len(table.hospital))
    first = shared_rounds(table, vendor, CombatSettings())
    both = shared_rounds(Table(table.covariates, first, table.hospital), kernel, CombatSettings())
    pooled_first = Table(table.covariates, pooled_combat(table, batch=vendor), table.hospital)
    assert largest_difference(both, pooled_combat(pooled_first, batch=kernel), table.features) < 1e-9


@pytest.mark.parametrize("standardised", [True, False])
def test_covbat_equals_the_pooled_one(standardised: bool) -> None:
    table = make_table(25, (60, 70, 55), features=20)
    combat, parameters = federated(table, CombatSettings())
    effects = {h: estimate(*table.at(h), parameters) for h in table.hospitals}
    rows = {h: residuals(*table.at(h), parameters, effects[h]) for h in table.hospitals}
    mean = np.concatenate(list(rows.values())).mean(axis=0)
    total = add(residual_crossproducts(rows[h], mean) for h in table.hospitals)
    basis = components(total, mean, explained=0.9, standardised=standardised)
    assert basis.rotation.shape[1] < 20
    spread = add(score_sums(basis.scores(rows[h])) for h in table.hospitals)
    variance = spread["zz"] / spread["n"]
    out = np.empty_like(table.features)
    for h in table.hospitals:
        scores = estimate_scores(rows[h], basis, variance)
        out[table.hospital == h] = harmonise_covariance(
            *table.at(h), parameters, effects[h], basis, variance, scores
        )
    expected = pooled_covbat(table, combat, 0.9, standardised)
    assert largest_difference(out, expected, table.features) < 1e-9
    # It did something: the hospitals' covariances moved.
    assert largest_difference(out, combat, table.features) > 0.05


def test_a_penalty_of_nothing_is_the_plain_regression() -> None:
    table = make_table(26)
    plain, _ = federated(table, CombatSettings())
    total = add(combat_sums(*table.at(h)) for h in table.hospitals)
    assert largest_difference(finish(table, fit(total, penalty=np.zeros((2, 2)))), plain, table.features) < 1e-9
