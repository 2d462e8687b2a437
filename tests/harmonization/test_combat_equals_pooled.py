"""Hospitals that share nothing but sums reach what ComBat gives on their pooled table."""

import numpy as np
import pandas as pd
import pytest
from neuroHarmonize import harmonizationLearn

from harmonization.apply import adjust, estimate, estimate_batches, harmonise, harmonise_batches
from harmonization.fit import fit
from harmonization.neuroharmonize import covers, single_precision
from harmonization.parameters import CombatSettings
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

EXACT = 1e-9


def neuroharmonize(table: Table, **options: object) -> np.ndarray:
    frame = pd.DataFrame(table.covariates, columns=["size_mm", "sex"])
    frame["SITE"] = table.hospital
    _, harmonised = harmonizationLearn(table.features, frame, **options)
    return harmonised


@pytest.mark.parametrize("eb", [True, False])
@pytest.mark.parametrize("sizes", [(40, 55, 33), (30, 31, 200, 45, 60, 38), (2, 3, 5, 7, 40)])
def test_hospitals_together_equal_neuroharmonize_on_the_pooled_table(eb: bool, sizes: tuple[int, ...]) -> None:
    table = make_table(1, sizes)
    harmonised, _ = federated(table, CombatSettings(empirical_bayes=eb))
    assert largest_difference(harmonised, neuroharmonize(table, eb=eb), table.features) < EXACT


def test_covariates_rounded_as_neuroharmonize_rounds_them_give_its_answer() -> None:
    table = make_table(2)
    table = Table(table.covariates + np.pi, table.features, table.hospital)
    rounded = Table(single_precision(table.covariates), table.features, table.hospital)
    harmonised, _ = federated(rounded, CombatSettings())
    assert largest_difference(harmonised, neuroharmonize(table), table.features) < EXACT


def test_public_offsets_change_nothing() -> None:
    table = make_table(3)
    offsets = {"offset_covariates": [40.0, 0.5], "offset_features": table.features.mean(axis=0).round(1)}
    plain, _ = federated(table, CombatSettings())
    total = add(combat_sums(*table.at(h), **offsets) for h in table.hospitals)
    shifted = finish(table, fit(total, **offsets))
    assert largest_difference(shifted, plain, table.features) < EXACT


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        (CombatSettings(mean_only=True), {"mean_only": True}),
        (CombatSettings(empirical_bayes=False, mean_only=True), {"empirical_bayes": False, "mean_only": True}),
        (CombatSettings(parametric=False), {"parametric": False}),
        (CombatSettings(parametric=False, mean_only=True), {"parametric": False, "mean_only": True}),
    ],
)
def test_the_variants_equal_a_pooled_reference(settings: CombatSettings, reference: dict[str, bool]) -> None:
    table = make_table(4, (40, 25, 33, 60))
    harmonised, _ = federated(table, settings)
    assert largest_difference(harmonised, pooled_combat(table, **reference), table.features) < EXACT


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (CombatSettings(mean_only=True), {"mean_only": True}),
        (CombatSettings(parametric=False), {"parametric": False}),
    ],
)
def test_the_variants_equal_neurocombat(settings: CombatSettings, options: dict[str, bool]) -> None:
    from neuroCombat import neuroCombat

    table = make_table(5, (30, 25, 40))
    frame = pd.DataFrame(
        {"batch": table.hospital, "size_mm": table.covariates[:, 0], "sex": table.covariates[:, 1]}
    )
    answer = neuroCombat(table.features.T, frame, "batch", continuous_cols=["size_mm", "sex"], **options)
    harmonised, _ = federated(table, settings)
    assert largest_difference(harmonised, answer["data"].T, table.features) < 1e-8


def test_nonparametric_priors_survive_a_hospital_of_600_where_the_likelihood_underflows() -> None:
    table = make_table(6, (600, 620, 50), features=12)
    harmonised, _ = federated(table, CombatSettings(parametric=False))
    assert np.isfinite(harmonised).all()
    assert largest_difference(harmonised, pooled_combat(table, parametric=False), table.features) < EXACT


def test_a_reference_hospital_keeps_its_table_and_the_others_follow_as_in_neuroharmonize() -> None:
    table = make_table(7)
    _, parameters = federated(table, CombatSettings())
    answers = [
        reference_sums(*table.at(h), parameters) if h == "h1" else no_reference_sums(parameters)
        for h in table.hospitals
    ]
    referred = fit_reference(parameters, add(answers), "h1")
    harmonised = finish(table, referred)
    harmonised[table.hospital == "h1"] = table.at("h1")[1]
    expected = neuroharmonize(table, ref_batch="h1")
    assert largest_difference(harmonised, expected, table.features) < EXACT


def test_scanners_within_a_hospital_are_batches_of_their_own() -> None:
    table = make_table(8, (60, 50, 70))
    scanner = np.random.default_rng(8).choice(["A", "B"], len(table.hospital))
    batch = np.char.add(table.hospital.astype(str), scanner)
    sums, out = [], np.empty_like(table.features)
    for h in table.hospitals:
        sums.append(combat_sums(*table.at(h), batches=scanner[table.hospital == h]))
    parameters = fit(add(sums))
    for h in table.hospitals:
        rows = table.hospital == h
        effects = estimate_batches(*table.at(h), parameters, scanner[rows])
        out[rows], notes = harmonise_batches(*table.at(h), parameters, scanner[rows], effects)
        assert notes == []
    expected = neuroharmonize(Table(table.covariates, table.features, batch))
    assert largest_difference(out, expected, table.features) < EXACT


@pytest.mark.parametrize("options", [{}, {"empirical_bayes": False}, {"mean_only": True}, {"parametric": False}])
def test_missing_cells_count_per_feature(options: dict[str, bool]) -> None:
    table = make_table(9, (40, 60, 50))
    rng = np.random.default_rng(9)
    y = table.features.copy()
    y[:, ::3] = np.where(rng.random(y[:, ::3].shape) < 0.25, np.nan, y[:, ::3])
    table = Table(table.covariates, y, table.hospital)
    total = add(combat_sums(*table.at(h), missing=True) for h in table.hospitals)
    harmonised = finish(table, fit(total, CombatSettings(**options)))
    assert largest_difference(harmonised, pooled_combat(table, **options), y) < EXACT


def test_scanners_and_missing_cells_go_together() -> None:
    table = make_table(15, (60, 50))
    rng = np.random.default_rng(15)
    scanner = rng.choice(["A", "B"], len(table.hospital))
    table = Table(
        table.covariates, np.where(rng.random(table.features.shape) < 0.1, np.nan, table.features), table.hospital
    )
    at = {h: table.hospital == h for h in table.hospitals}
    parameters = fit(add(combat_sums(*table.at(h), batches=scanner[at[h]], missing=True) for h in table.hospitals))
    out = np.empty_like(table.features)
    for h in table.hospitals:
        effects = estimate_batches(*table.at(h), parameters, scanner[at[h]])
        out[at[h]], _ = harmonise_batches(*table.at(h), parameters, scanner[at[h]], effects)
    batch = np.char.add(table.hospital.astype(str), scanner)
    assert largest_difference(out, pooled_combat(table, batch=batch), table.features) < EXACT


def test_sums_with_missing_values_agree_with_the_plain_ones_where_nothing_is_missing() -> None:
    table = make_table(10)
    plain, _ = federated(table, CombatSettings())
    total = add(combat_sums(*table.at(h), missing=True) for h in table.hospitals)
    assert largest_difference(finish(table, fit(total)), plain, table.features) < EXACT


def test_each_group_of_features_has_its_own_priors() -> None:
    table = make_table(11)
    groups = np.arange(30) % 3 - 1
    harmonised, _ = federated(table, CombatSettings(), groups=groups)
    assert np.array_equal(harmonised[:, groups == -1], table.features[:, groups == -1])
    for group in (0, 1):
        part = Table(table.covariates, table.features[:, groups == group], table.hospital)
        assert largest_difference(harmonised[:, groups == group], neuroharmonize(part), part.features) < EXACT


@pytest.mark.parametrize("eb", [True, False])
def test_our_formula_and_harmonizationapply_say_the_same(eb: bool) -> None:
    table = make_table(12)
    _, parameters = federated(table, CombatSettings(empirical_bayes=eb))
    c, y = table.at("h2")
    effect = estimate(c, y, parameters)
    assert covers(parameters, c)
    assert largest_difference(harmonise(c, y, parameters, effect), adjust(c, y, parameters, effect), y) < 1e-12


def test_held_out_rows_take_the_effect_of_the_training_rows() -> None:
    table = make_table(13)
    _, parameters = federated(table, CombatSettings())
    c, y = table.at("h0")
    effect = estimate(c[:30], y[:30], parameters)
    together = harmonise(c, y, parameters, effect)
    assert np.array_equal(harmonise(c[30:], y[30:], parameters, effect), together[30:])


def test_without_covariates_the_answer_is_neuroharmonize_too() -> None:
    table = make_table(14)
    bare = Table(np.zeros((len(table.hospital), 0)), table.features, table.hospital)
    harmonised, _ = federated(bare, CombatSettings())
    _, expected = harmonizationLearn(table.features, pd.DataFrame({"SITE": table.hospital}))
    assert largest_difference(harmonised, expected, table.features) < EXACT
