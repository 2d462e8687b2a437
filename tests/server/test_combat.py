"""Harmonised in a federation = harmonised on the pooled table: whole simulated studies against neuroHarmonize."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from neuroHarmonize import harmonizationLearn
from scipy.linalg import block_diag

from common.errors import StudyError, StudyStopped
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from harmonization.splines import SmoothTerm, curvature, spline_columns
from server.progress import Silence
from tests.harmonization.pooled_combat import Table, pooled_combat, pooled_covbat
from tests.hospitals_on_disk import UNMASKED, study, write_hospitals

FEATURES = [f"f{j:02d}" for j in range(24)]
KERNEL = {"kernel": {"type": "category", "levels": ["soft", "sharp", "lung"]}}
Simulated = Callable[..., tuple[pd.DataFrame, dict[str, Any]]]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A pooled table with hospital and scanner effects, and two covariates that the features depend on."""
    rng = np.random.default_rng(3)
    sizes = {"alder": 33, "birch": 41, "cedar": 52, "dogwood": 74}
    n = sum(sizes.values())
    rows = pd.DataFrame(
        {"id": [f"P{i:03d}" for i in range(n)], "hospital": np.repeat(list(sizes), list(sizes.values()))}
    )
    rows["age"] = rng.integers(40, 85, n)
    rows["sex"] = rng.integers(0, 2, n)
    rows["kernel"] = rng.choice(["soft", "sharp", "lung"], n)
    rows["scanner"] = rng.choice(["one", "two"], n)
    rows["mvi"] = rng.integers(0, 2, n)
    code = rows["hospital"].astype("category").cat.codes.to_numpy()
    shift, scale = rng.normal(0, 1, (4, 24)), rng.uniform(0.6, 1.6, (4, 24))
    covariates = rows[["age", "sex"]].to_numpy() @ rng.normal(0, 0.05, (2, 24))
    noise = rng.multivariate_normal(np.zeros(24), 0.5 * np.eye(24) + 0.5, n)
    rows[FEATURES] = 10 ** rng.uniform(-2, 4, 24) * (5 + covariates + shift[code] + scale[code] * noise)
    return rows


@pytest.fixture
def simulated(tmp_path: Path) -> Simulated:
    """Run a study over the table split by hospital; the harmonised tables put together, and the results."""

    def run(
        table: pd.DataFrame, harmonisation: dict[str, Any], **changes: Any
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        sites = write_hospitals(tmp_path / "sites", table, ["age", "sex", "kernel", "scanner", "mvi"], FEATURES)
        chosen = study(
            harmonisation={"method": "combat", "preserve": ["age", "sex"]} | harmonisation,
            **({"variables": KERNEL, "privacy": UNMASKED, "validation": {"folds": 2}} | changes),
        )
        simulate(Simulation(chosen, find_hospitals(sites), tmp_path / "out"), Silence())
        own = [pd.read_csv(p) for p in sorted((tmp_path / "out" / "sites").glob("*/harmonised.csv"))]
        results: dict[str, Any] = json.loads((tmp_path / "out" / "results.json").read_text())
        return pd.concat(own).set_index("id").loc[table["id"]], results

    return run


def in_sd(found: pd.DataFrame, expected: np.ndarray) -> float:
    """The largest difference in standard deviations of the feature."""
    return float((np.abs(found.to_numpy() - expected) / expected.std(axis=0)).max())


def as_table(table: pd.DataFrame) -> Table:
    return Table(table[["age", "sex"]].to_numpy(float), table[FEATURES].to_numpy(), table["hospital"].to_numpy())


def pooled_neuroharmonize(table: pd.DataFrame, **options: Any) -> np.ndarray:
    covariates = table[["hospital", "age", "sex"]].rename(columns={"hospital": "SITE"}).reset_index(drop=True)
    _, adjusted = harmonizationLearn(table[FEATURES].to_numpy(), covariates, **options)
    return np.asarray(adjusted)


@pytest.mark.parametrize("empirical_bayes", [True, False])
def test_the_hospitals_tables_equal_neuroharmonize_on_the_pooled_table(
    simulated: Simulated, table: pd.DataFrame, empirical_bayes: bool
) -> None:
    found, results = simulated(table, {"empirical_bayes": empirical_bayes})
    assert list(found.columns) == FEATURES
    assert in_sd(found, pooled_neuroharmonize(table, eb=empirical_bayes)) < 1e-9
    asked = [entry["query"] for entry in results["exchanges"]["asked"]]
    assert asked.count("combat") == 1
    assert not {"combat_reference", "covariance"} & set(asked)


def test_one_message_holds_what_the_facts_say_whatever_the_folds(
    simulated: Simulated, table: pd.DataFrame
) -> None:
    """n, q, p, q(q+1)/2, q·p and p numbers a split, 8 bytes each; ten digits a number under masks."""
    _, results = simulated(table, {}, validation={"folds": 5}, privacy={})
    asked = next(entry for entry in results["exchanges"]["asked"] if entry["query"] == "combat")
    splits, q, p = 1 + 5 + 4, 2, len(FEATURES)
    numbers = sum(int(np.prod(shape)) for shape in asked["sums"].values())
    assert numbers == splits * (1 + q + p + q * (q + 1) // 2 + q * p + p)
    assert 80 * numbers < asked["largest_answer_bytes"] < 80 * numbers + 2000


def test_a_model_is_refitted_in_every_training_fold(simulated: Simulated, table: pd.DataFrame) -> None:
    """The fold's coefficients are those of a pooled fit on rows harmonised by the training rows alone."""
    _, results = simulated(table, {})
    models = results["model"]["by_split"]
    assert models["final"]["coefficients"] != models["kfold/0/0"]["coefficients"]
    notes = " ".join(results["notes"])
    assert "transductive" in notes
    assert results["performance"]["leave_one_hospital_out"]["transductive"]
    assert not results["performance"]["kfold"]["transductive"]


def test_scanners_within_hospitals_as_batches(simulated: Simulated, table: pd.DataFrame) -> None:
    found, _ = simulated(table, {"batch": "hospital+scanner"})
    both = table.assign(hospital=table["hospital"] + table["scanner"])
    assert in_sd(found, pooled_neuroharmonize(both)) < 1e-9


def test_a_reference_hospital_stays_as_it_is_and_the_others_follow(
    simulated: Simulated, table: pd.DataFrame
) -> None:
    found, results = simulated(table, {"reference": "cedar"})
    own = (table["hospital"] == "cedar").to_numpy()
    assert in_sd(found[own], table.loc[own, FEATURES].to_numpy()) < 1e-12
    assert in_sd(found, pooled_neuroharmonize(table, ref_batch="cedar")) < 1e-9
    asked = next(entry for entry in results["exchanges"]["asked"] if entry["query"] == "combat_reference")
    assert asked["class"] == "single hospital"


def test_shared_levels_are_pooled_combat_by_level(simulated: Simulated, table: pd.DataFrame) -> None:
    found, results = simulated(table, {"batch": ["kernel"]})
    assert in_sd(found, pooled_neuroharmonize(table.assign(hospital=table["kernel"]))) < 1e-9
    asked = [entry["query"] for entry in results["exchanges"]["asked"]]
    assert [q for q in asked if q.startswith("combat")] == [
        "combat_level_counts",
        "combat_level_sums",
        "combat_level_products",
        "combat_level_spread",
    ]


def test_signed_log_is_combat_on_the_logarithms_and_back(simulated: Simulated, table: pd.DataFrame) -> None:
    found, _ = simulated(table, {"transform": "signed-log"})
    x = table[FEATURES].to_numpy()
    scale = 10.0 ** np.floor(np.log10(np.abs(x).mean(axis=0)))
    logs = table.assign(**dict(zip(FEATURES, (np.sign(x) * np.log1p(np.abs(x) / scale)).T, strict=True)))
    y = pooled_neuroharmonize(logs)
    assert in_sd(found, np.sign(y) * np.expm1(np.abs(y)) * scale) < 1e-9


def test_yeo_johnson_goes_there_and_back(simulated: Simulated, table: pd.DataFrame) -> None:
    found, _ = simulated(table, {"transform": "yeo-johnson"})
    assert np.isfinite(found.to_numpy()).all()
    plain = pooled_neuroharmonize(table)
    for j in range(len(FEATURES)):
        assert np.corrcoef(found.to_numpy()[:, j], plain[:, j])[0, 1] > 0.95


def test_shape_and_volume_are_left_alone_by_default(
    simulated: Simulated, table: pd.DataFrame, tmp_path: Path
) -> None:
    renamed = table.rename(
        columns={"f00": "tumour_original_shape_MeshVolume", "f01": "tumour_original_glcm_Contrast"}
    )
    names = [c for c in renamed.columns if c not in table.columns or c in FEATURES]
    sites = write_hospitals(tmp_path / "sites", renamed, ["age", "sex", "mvi"], names)
    chosen = study(harmonisation={"method": "combat", "preserve": ["age", "sex"]})
    simulate(Simulation(chosen, find_hospitals(sites), tmp_path / "out"), Silence())
    own = pd.read_csv(tmp_path / "out" / "sites" / "birch" / "harmonised.csv").set_index("id")
    raw = renamed[renamed["hospital"] == "birch"].set_index("id")
    alone, changed = "tumour_original_shape_MeshVolume", "tumour_original_glcm_Contrast"
    assert own[alone].to_numpy() == pytest.approx(raw[alone].to_numpy(), rel=1e-15)
    assert (own[changed] != raw[changed]).all()


def test_features_with_many_gaps_keep_them_and_the_others_do_not_move(
    simulated: Simulated, table: pd.DataFrame
) -> None:
    """Ten and more missing at a hospital, or none: counted feature by feature, as on the pooled table."""
    gaps = table.copy()
    gaps.loc[gaps.index[gaps["hospital"] == "dogwood"][:15], "f05"] = np.nan
    found, _ = simulated(gaps, {})
    assert found["f05"].isna().sum() == 15
    rest = [f for f in FEATURES if f != "f05"]
    assert np.isfinite(found[rest].to_numpy()).all()
    expected = pooled_combat(as_table(gaps))
    known = gaps[FEATURES].notna().to_numpy()
    difference = np.abs(found.to_numpy() - expected) / table[FEATURES].to_numpy().std(axis=0)
    assert difference[known].max() < 1e-8


def test_a_few_gaps_are_imputed_first(simulated: Simulated, table: pd.DataFrame) -> None:
    gaps = table.copy()
    gaps.loc[gaps.index[[3, 60, 100]], "f05"] = np.nan
    found, _ = simulated(gaps, {})
    filled = gaps.fillna({"f05": gaps["f05"].mean()})
    known = gaps["f05"].notna().to_numpy()
    assert in_sd(found[known], pooled_neuroharmonize(filled)[known]) < 1e-8
    assert found["f05"].isna().sum() == 3


def test_covbat_brings_covariances_together(simulated: Simulated, table: pd.DataFrame) -> None:
    found, results = simulated(table, {"method": "covbat"})
    expected = pooled_covbat(as_table(table), pooled_neuroharmonize(table), 0.95, True)
    assert in_sd(found, expected) < 1e-8
    assert [e["query"] for e in results["exchanges"]["asked"]].count("covariance") == 1


def test_without_calibration_an_unseen_hospital_is_scored_as_it_is(
    simulated: Simulated, table: pd.DataFrame
) -> None:
    _, results = simulated(table, {"unseen": "none"})
    assert not results["performance"]["leave_one_hospital_out"]["transductive"]


def test_smooth_covariates_are_fitted_on_public_knots(simulated: Simulated, table: pd.DataFrame) -> None:
    curved = {"age": {"knots": [40, 55, 70, 85], "penalty": 1.0}}
    found, _ = simulated(table, {"smooth": curved})
    term = SmoothTerm((40.0, 55.0, 70.0, 85.0))
    covariates = np.column_stack([spline_columns(table["age"], term), table["sex"]])
    pooled = Table(covariates, table[FEATURES].to_numpy(), table["hospital"].to_numpy())
    expected = pooled_combat(pooled, penalty=block_diag(2.0 * curvature(term), 0.0))
    assert in_sd(found, expected) < 1e-8


def test_a_covariate_that_equals_the_outcome_is_refused(simulated: Simulated, table: pd.DataFrame) -> None:
    with pytest.raises(StudyStopped, match="covariate_equals_the_outcome"):
        simulated(table.assign(sex=1 - table["mvi"]), {})
    with pytest.raises(StudyError, match="outcome"):
        study(harmonisation={"method": "combat", "preserve": ["mvi"]})


def test_mean_only_is_recommended_below_thirty_patients(simulated: Simulated, table: pd.DataFrame) -> None:
    few = table.groupby("hospital").head(29)
    _, results = simulated(few, {})
    assert any("mean_only" in note and "alder" in note for note in results["notes"])


def test_a_batch_level_that_one_hospital_has_alone_stops_the_study(
    simulated: Simulated, table: pd.DataFrame
) -> None:
    alone = table.assign(kernel=np.where(table["hospital"] == "birch", "lung", "soft"))
    with pytest.raises(StudyStopped, match="lung of kernel: 1"):
        simulated(alone, {"batch": ["kernel"]})
