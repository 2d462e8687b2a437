"""What breaks pooled ComBat in silence is handled here, and said."""

from dataclasses import replace

import numpy as np
import pytest

from harmonization.apply import adjust, check_cells, estimate, estimate_batches, harmonise, harmonise_batches
from harmonization.fit import fit
from harmonization.leakage import outcome_in_disguise
from harmonization.new_hospital import estimate_new_hospital
from harmonization.parameters import CombatParameters, CombatSettings
from harmonization.reference import fit_reference, no_reference_sums, reference_sums
from harmonization.sums import combat_sums
from tests.harmonization.pooled_combat import (
    Table,
    add,
    federated,
    finish,
    largest_difference,
    make_table,
    pooled_combat,
)

EVERY = [
    CombatSettings(),
    CombatSettings(empirical_bayes=False),
    CombatSettings(mean_only=True),
    CombatSettings(parametric=False),
]


def with_columns(table: Table, *columns: np.ndarray) -> Table:
    return Table(table.covariates, np.column_stack([table.features, *columns]), table.hospital)


@pytest.mark.parametrize("settings", EVERY)
def test_constant_and_nearly_constant_features_pass_through_and_move_no_other(settings: CombatSettings) -> None:
    table = make_table(30)
    n = len(table.hospital)
    rng = np.random.default_rng(30)
    flat = [np.zeros(n), np.full(n, 3.0), np.full(n, 0.1), 1e6 * (1 + 1e-15 * rng.integers(0, 3, n))]
    harmonised, parameters = federated(with_columns(table, *flat), settings)
    alone, _ = federated(table, settings)
    assert parameters.constant.tolist() == [False] * 30 + [True] * 4
    assert "4 feature(s) constant" in parameters.findings[0]
    assert np.array_equal(harmonised[:, 30:], np.column_stack(flat))
    assert largest_difference(harmonised[:, :30], alone, table.features) < 1e-12


def test_a_feature_that_is_a_function_of_the_covariates_passes_through() -> None:
    table = make_table(31)
    volume = 3.0 * table.covariates[:, 0] - 2.0 * table.covariates[:, 1]
    harmonised, parameters = federated(with_columns(table, volume), CombatSettings())
    assert parameters.constant[30]
    assert np.array_equal(harmonised[:, 30], volume)


@pytest.mark.parametrize("settings", EVERY)
def test_a_hospital_of_one_patient_spoils_nobody(settings: CombatSettings) -> None:
    table = make_table(32, (40, 1, 33))
    harmonised, parameters = federated(table, settings)
    assert np.isfinite(harmonised).all()
    effect = estimate(*table.at("h1"), parameters)
    assert (effect.delta == 1.0).all()
    assert any("one value" in note for note in effect.notes)
    others = Table(*(a[table.hospital != "h1"] for a in (table.covariates, table.features, table.hospital)))
    without, _ = federated(others, settings)
    # B and σ² are the others' but for the divisor N; the grand mean moves by 1/74 of one patient.
    assert largest_difference(harmonised[table.hospital != "h1"], without, others.features) < 0.2


def test_the_lone_patient_is_not_erased_where_empirical_bayes_is_off() -> None:
    table = make_table(33, (40, 1, 33))
    harmonised, parameters = federated(table, CombatSettings(empirical_bayes=False))
    row = table.hospital == "h1"
    erased = parameters.grand_mean + table.covariates[row] @ parameters.coefficients
    assert np.abs((harmonised[row] - erased) / np.sqrt(parameters.variance)).max() > 0.05


def test_a_feature_constant_at_one_hospital_is_moved_but_not_stretched() -> None:
    table = make_table(34)
    y = table.features.copy()
    y[table.hospital == "h1", 4] = y[table.hospital == "h1", 4].mean()
    table = Table(np.zeros((len(y), 0)), y, table.hospital)
    for settings in EVERY:
        harmonised, parameters = federated(table, settings)
        assert np.isfinite(harmonised).all()
        assert harmonised[table.hospital == "h1", 4].std() < 1e-9 * y[:, 4].std()
        effect = estimate(*table.at("h1"), parameters)
        assert effect.delta[4] == 1.0
        assert settings.mean_only or any("constant here" in note for note in effect.notes)


@pytest.mark.parametrize("copy", ["exact", "to rounding"])
def test_collinear_covariates_leave_the_answer_as_without_the_copy(copy: str) -> None:
    table = make_table(35)
    twin = 2.0 * table.covariates[:, :1] + 7.0
    if copy == "to rounding":
        twin = twin * (1 + 1e-15 * np.random.default_rng(0).integers(-2, 3, twin.shape))
    wide = Table(np.hstack([table.covariates, twin]), table.features, table.hospital)
    plain, _ = federated(table, CombatSettings())
    harmonised, parameters = federated(
        wide, CombatSettings(), covariate_names=("size_mm", "sex", "twice"), offset_covariates=None
    )
    assert largest_difference(harmonised, plain, table.features) < 1e-9
    assert any("size_mm, twice: collinear" in finding for finding in parameters.findings)


def test_a_covariate_that_only_names_the_hospital_is_dropped_and_said() -> None:
    table = make_table(36)
    code = {"h0": 1.7, "h1": -0.1, "h2": 3.3}
    aliased = np.array([[code[h]] for h in table.hospital])
    wide = Table(np.hstack([table.covariates, aliased]), table.features, table.hospital)
    plain, _ = federated(table, CombatSettings())
    harmonised, parameters = federated(wide, CombatSettings(), covariate_names=("size_mm", "sex", "field"))
    assert largest_difference(harmonised, plain, table.features) < 1e-9
    assert (parameters.coefficients[2] == 0).all()
    assert any("field: constant within every batch" in finding for finding in parameters.findings)


def test_a_level_seen_at_one_hospital_only_is_estimated_there_or_dropped() -> None:
    table = make_table(37)
    rng = np.random.default_rng(37)
    some = ((table.hospital == "h1") & (rng.random(len(table.hospital)) < 0.5)).astype(float)[:, None]
    partly = Table(np.hstack([table.covariates, some]), table.features, table.hospital)
    harmonised, _ = federated(partly, CombatSettings())
    assert largest_difference(harmonised, pooled_combat(partly), table.features) < 1e-9
    everyone = (table.hospital == "h1").astype(float)[:, None]
    wholly = Table(np.hstack([table.covariates, everyone]), table.features, table.hospital)
    harmonised, parameters = federated(wholly, CombatSettings())
    plain, _ = federated(table, CombatSettings())
    assert largest_difference(harmonised, plain, table.features) < 1e-9
    assert parameters.findings


def test_two_features_and_identical_features_need_no_division_by_zero() -> None:
    table = make_table(38)
    for columns in ([0], [0, 1], [2, 2, 2]):
        part = Table(table.covariates, table.features[:, columns], table.hospital)
        for settings in EVERY:
            harmonised, _ = federated(part, settings)
            assert np.isfinite(harmonised).all()


def test_a_non_finite_cell_is_refused_by_the_plain_sums_in_words() -> None:
    table = make_table(39)
    y = table.features.copy()
    y[3, 5], y[4, 6] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"2 missing or infinite cell\(s\) in 2 column\(s\) \(number 5, 6\)"):
        combat_sums(table.covariates, y)


@pytest.mark.parametrize("settings", EVERY)
def test_a_non_finite_cell_stays_the_only_missing_one(settings: CombatSettings) -> None:
    table = make_table(40)
    y, c = table.features.copy(), table.covariates.copy()
    y[3, 5], y[4, 6], c[7, 0] = np.nan, np.inf, np.nan
    table = Table(c, y, table.hospital)
    total = add(combat_sums(*table.at(h), missing=True) for h in table.hospitals)
    parameters = fit(total, settings)
    harmonised = finish(table, parameters)
    holes = np.argwhere(~np.isfinite(harmonised)).tolist()
    assert holes == [[3, 5], [4, 6]] + [[7, j] for j in range(30)]
    notes = check_cells(c, y, parameters)
    assert len(notes) == 2
    assert notes[0].startswith("1 row(s) without a covariate")


def test_a_feature_absent_from_one_hospital_or_from_all_is_harmonised_where_it_is() -> None:
    table = make_table(41)
    y = table.features.copy()
    y[table.hospital == "h0", 2] = np.nan
    y[:, 3] = np.nan
    first = np.flatnonzero(table.hospital == "h2")
    y[first[1:], 4] = np.nan
    table = Table(table.covariates, y, table.hospital)
    total = add(combat_sums(*table.at(h), missing=True) for h in table.hospitals)
    parameters = fit(total)
    harmonised = finish(table, parameters)
    assert np.array_equal(np.isfinite(harmonised), np.isfinite(y))
    assert any("no value anywhere" in finding for finding in parameters.findings)
    effect = estimate(*table.at("h0"), parameters)
    assert any("without any value" in note for note in effect.notes)
    assert np.isfinite(effect.gamma).all()


def test_an_unseen_scanner_is_left_unharmonised_and_said() -> None:
    table = make_table(42)
    _, parameters = federated(table, CombatSettings())
    c, y = table.at("h0")
    scanner = np.array(["A"] * 20 + ["B"] * 20)
    effects = estimate_batches(c[:20], y[:20], parameters, scanner[:20])
    out, notes = harmonise_batches(c, y, parameters, scanner, effects)
    assert np.array_equal(out[20:], y[20:])
    assert not np.array_equal(out[:20], y[:20])
    assert notes == ["batch 'B' was not in training: its 20 row(s) are not harmonised"]


def test_a_feature_constant_at_the_reference_passes_through() -> None:
    table = make_table(43)
    y = table.features.copy()
    y[table.hospital == "h1", 0] = 5.0
    table = Table(np.zeros((len(y), 0)), y, table.hospital)
    _, parameters = federated(table, CombatSettings())
    answers = [reference_sums(*table.at("h1"), parameters), no_reference_sums(parameters)]
    referred = fit_reference(parameters, add(answers), "h1")
    assert referred.constant[0]
    assert np.isfinite(finish(table, referred)).all()
    assert any("constant at the reference" in finding for finding in referred.findings)


def test_the_digest_of_parameters_tells_when_their_last_bit_was_changed() -> None:
    table = make_table(44)
    names = tuple(f"f{j}" for j in range(30))
    _, parameters = federated(table, CombatSettings(), covariate_names=("size_mm", "sex"), feature_names=names)
    assert parameters.to_arrays()["digest"] == parameters.digest == replace(parameters).digest
    variance = parameters.variance.copy()
    variance[3] = np.nextafter(variance[3], np.inf)
    changed = replace(parameters, variance=variance), replace(parameters, feature_names=names[::-1])
    assert parameters.digest not in {other.digest for other in changed}


def test_a_table_of_other_columns_is_refused() -> None:
    _, parameters = federated(make_table(45), CombatSettings())
    with pytest.raises(ValueError, match="fitted on 2 covariates and 30 features; the table has 3 and 30"):
        estimate(np.zeros((5, 3)), np.zeros((5, 30)), parameters)


def test_no_rows_give_no_rows() -> None:
    _, parameters = federated(make_table(46), CombatSettings())
    c, y = np.zeros((0, 2)), np.zeros((0, 30))
    effect = estimate(c, y, parameters)
    assert harmonise(c, y, parameters, effect).shape == (0, 30)
    assert adjust(c, y, parameters, effect).shape == (0, 30)
    assert all((value == 0).all() for value in combat_sums(c, y).values())


def test_a_new_hospital_knows_how_sure_it_is() -> None:
    table = make_table(47, (80, 80, 80, 25))
    known = Table(*(a[table.hospital != "h3"] for a in (table.covariates, table.features, table.hospital)))
    _, parameters = federated(known, CombatSettings())
    joined = estimate_new_hospital(parameters, *table.at("h3"))
    assert np.allclose(joined.gamma_error, np.sqrt(joined.effect.delta_hat / 25))
    assert np.allclose(joined.delta_error, joined.effect.delta_hat * np.sqrt(2 / 24))
    assert (joined.effect.gamma_error < 1.5 * joined.gamma_error).all()
    assert "mean-only" in joined.advice[0]
    assert "25 patients" in joined.advice[-1]


def test_the_standard_errors_are_those_of_repeated_sampling() -> None:
    rng = np.random.default_rng(48)
    parameters = CombatParameters(
        CombatSettings(empirical_bayes=False),
        np.zeros((0, 4000)),
        np.zeros(4000),
        np.ones(4000),
        np.zeros(4000, dtype=bool),
        np.zeros(4000, dtype=np.int64),
        np.full(4000, 100.0),
    )
    joined = estimate_new_hospital(parameters, None, 0.5 + 1.3 * rng.normal(size=(40, 4000)))
    assert joined.effect.gamma.std() == pytest.approx(joined.gamma_error.mean(), rel=0.05)
    assert joined.effect.delta.std() == pytest.approx(joined.delta_error.mean(), rel=0.08)


def test_the_outcome_in_disguise_is_found_among_the_covariates() -> None:
    rng = np.random.default_rng(49)
    outcome = (rng.random(50) < 0.4).astype(float)
    c = np.column_stack([rng.normal(size=50), 1 - outcome, outcome * 3 + 2, (rng.random(50) < 0.4)])
    assert outcome_in_disguise(c, ["age", "alive", "coded", "sex"], outcome) == ["alive", "coded"]
