"""The advice, on synthetic hospitals whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from harmonization.advice import Advice, Evidence, advice, evidence
from harmonization.apply import adjust, estimate
from harmonization.fit import fit
from harmonization.hospital_effect import distance_from_median, effect_sums, hospital_effect
from harmonization.parameters import CombatSettings
from harmonization.sums import combat_sums
from tests.harmonization.pooled_combat import add

HOSPITALS, PATIENTS, FEATURES, FOLDS = 4, 60, 100, 5


def clinic(seed: int, planted: float, correlation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariates, features, hospitals; ``planted`` 1: shifts of 0.4 SD, scales of e^±0.25 in 80 % of features."""
    rng = np.random.default_rng(seed)
    hospital = np.repeat(np.arange(HOSPITALS), PATIENTS)
    n = len(hospital)
    c = np.column_stack([rng.normal(size=n), rng.random(n) < 0.4])
    loading = rng.normal(size=(5, FEATURES))
    common = rng.normal(size=(n, 5)) @ (loading / np.linalg.norm(loading, axis=0))
    noise = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * rng.normal(size=(n, FEATURES))
    touched = planted * (rng.random(FEATURES) < 0.8)
    location = rng.normal(0, 0.4, (HOSPITALS, FEATURES)) * touched
    scale = np.exp(rng.normal(0, 0.25, (HOSPITALS, FEATURES)) * touched)
    y = c @ rng.normal(0, 0.4, (2, FEATURES)) + location[hospital] + scale[hospital] * noise
    return c, y, hospital


def advice_for(seed: int, planted: float, correlation: float, settings: CombatSettings) -> Advice:
    """Five folds; ComBat on each fold's training rows, diagnostics on its held-out ones, all from sums."""
    c, y, hospital = clinic(seed, planted, correlation)
    fold = np.arange(len(hospital)) % FOLDS
    seen: dict[str, list] = {"location before": [], "spread before": [], "location after": [], "spread after": []}
    for k in range(FOLDS):
        training = [(fold != k) & (hospital == h) for h in range(HOSPITALS)]
        held_out = [(fold == k) & (hospital == h) for h in range(HOSPITALS)]
        parameters = fit(add(combat_sums(c[rows], y[rows]) for rows in training), settings)
        before = [y[rows] for rows in held_out]
        after = [
            adjust(c[out], y[out], parameters, estimate(c[rows], y[rows], parameters))
            for rows, out in zip(training, held_out, strict=True)
        ]
        for when, tables in (("before", before), ("after", after)):
            location = add(effect_sums(t, c[rows]) for t, rows in zip(tables, held_out, strict=True))
            spread = add(effect_sums(distance_from_median(t)) for t in tables)
            seen[f"location {when}"].append(hospital_effect(location))
            seen[f"spread {when}"].append(hospital_effect(spread))
    return advice(
        evidence(seen["location before"], seen["spread before"]),
        evidence(seen["location after"], seen["spread after"]),
    )


@pytest.mark.parametrize("empirical_bayes", [True, False])
@pytest.mark.parametrize("correlation", [0.3, 0.9])
def test_it_says_help_where_a_hospital_effect_was_planted_and_only_there(
    empirical_bayes: bool, correlation: float
) -> None:
    settings = CombatSettings(empirical_bayes=empirical_bayes)
    planted = [advice_for(seed, 1.0, correlation, settings).verdict for seed in range(20)]
    absent = [advice_for(seed, 0.0, correlation, settings).verdict for seed in range(20)]
    assert planted.count("help") >= 19
    assert absent.count("help") <= 1


BEFORE = Evidence(0.6, 0.3, 0.08, 0.03, patients=240, batches=4)


def test_the_sentence_says_what_was_seen() -> None:
    found = advice(BEFORE, replace(BEFORE, share_location=0.1, variance_location=0.01))
    assert found.verdict == "help"
    assert "differ less in location" in found.sentence
    assert "location 60% before, 10% after" in found.sentence


def test_harm_is_named_where_hospitals_differ_more_or_biology_is_lost() -> None:
    worse = replace(BEFORE, variance_spread=0.09)
    assert "differ more in spread" in advice(BEFORE, worse).sentence
    better = replace(BEFORE, variance_location=0.0)
    assert advice(BEFORE, better, biology_kept=0.5).verdict == "harm"
    assert advice(BEFORE, better, biology_kept=0.9).verdict == "help"


def test_a_small_change_is_no_difference() -> None:
    assert advice(BEFORE, replace(BEFORE, variance_location=0.072)).verdict == "no difference"


def test_folds_of_location_and_spread_must_match() -> None:
    with pytest.raises(ValueError, match=r"0 fold\(s\) of location"):
        evidence([], [])
