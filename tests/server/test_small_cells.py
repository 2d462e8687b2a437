"""What an honest study asks for shows no patient: rare columns, row sets that nearly agree, small bins and counts."""

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LinearRegression

from common.errors import StudyStopped
from common.query import Disclosed
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.app import CHECKPOINT
from server.progress import Silence
from server.results.small_cells import events_by_site, flow_in_ranges, known_or_none
from tests.hospitals_on_disk import UNMASKED, study, write_hospitals
from tests.server.heard import Heard, listening_to_questions

CLINICAL = ["a", "b", "c", "d"]
FEATURES = ["texture", "entropy", "grey"]
HOSPITALS = ["north", "south", "west"]
SIZE = 40
Asked = list[Heard]


@pytest.fixture
def asked() -> Iterator[Asked]:
    """Every question of a study and its total, as the coordinator saw them."""
    with listening_to_questions() as heard:
        yield heard


@pytest.fixture
def table() -> pd.DataFrame:
    """120 patients of three hospitals."""
    rng = np.random.default_rng(3)
    n = SIZE * len(HOSPITALS)
    rows = pd.DataFrame(rng.normal(size=(n, 7)), columns=CLINICAL + FEATURES)
    rows["mvi"] = (rows["a"] + rng.normal(size=n) > 0).astype(int)
    rows.insert(0, "id", [f"P{i:03d}" for i in range(n)])
    rows["hospital"] = np.repeat(HOSPITALS, SIZE)
    return rows


@pytest.fixture
def run(tmp_path: Path, asked: Asked) -> Callable[..., dict[str, Any]]:
    """Simulate a study over the table split by hospital; its results."""

    def simulated(table: pd.DataFrame, clinical: list[str], **changes: Any) -> dict[str, Any]:
        columns = [c for c in table.columns if c not in ("id", "hospital", *FEATURES)]
        sites = write_hospitals(tmp_path / "sites", table, columns, FEATURES)
        radiomics = {"radiomics": "all"} if "harmonisation" in changes else {}
        validation = {"folds": 2, "leave_one_hospital_out": False}
        asked = {"predictors": {"clinical": clinical} | radiomics, "validation": validation, "privacy": UNMASKED}
        chosen = study(**(asked | changes))
        simulate(Simulation(chosen, find_hospitals(sites), tmp_path / "out"), Silence())
        results: dict[str, Any] = json.loads((tmp_path / "out" / "results.json").read_text())
        return results

    return simulated


Run = Callable[..., dict[str, Any]]
COMBAT = {"method": "combat"}
NO_FOLDS = {"folds": 0, "leave_one_hospital_out": False}


def test_a_column_that_three_patients_carry_is_rare_whatever_imputation_makes_of_it(run: Run, table: Any) -> None:
    table["v"] = np.where(np.arange(len(table)) % 2, 0.0, np.nan)
    table.loc[[0, 2, 4], "v"] = 1.0
    results = run(table, ["a", "v"], variables={"v": {"type": "binary"}})
    column = results["pipeline"]["columns"]["v"]
    assert (column["used"], column["fill"], column["centre"], column["spread"]) == (False, None, None, None)
    assert results["cohort"]["variables"]["v"]["carriers"] is None
    assert any(note.startswith("v: fewer than 5 patients") for note in results["notes"])


@pytest.mark.parametrize("low", [0, 1])
def test_a_column_of_two_values_is_found_though_nobody_declared_it(
    run: Run, table: pd.DataFrame, low: int
) -> None:
    table["v"] = low
    table.loc[44, "v"] = low + 1
    results = run(table, ["a", "b", "v"])
    assert not results["pipeline"]["columns"]["v"]["used"]
    assert results["model"]["coefficients"]["v"] == 0
    assert "quartiles" not in results["cohort"]["variables"]["v"]


def test_a_column_that_enough_patients_carry_stays(run: Run, table: pd.DataFrame) -> None:
    table["v"] = (np.arange(len(table)) % 10 == 0).astype(int)
    results = run(table, ["a", "v"])
    assert results["pipeline"]["columns"]["v"]["used"]


def test_a_reference_level_that_two_patients_have_is_widened(run: Run, table: pd.DataFrame) -> None:
    """The sums over the reference are those over all less those over the other levels."""
    table["stage"] = np.where(np.arange(len(table)) % 3, "B", "C")
    table.loc[[0, 1], "stage"] = "A"
    levels = {"stage": {"type": "category", "levels": ["A", "B", "C"]}}
    columns = run(table, ["a", "stage"], variables=levels)["pipeline"]["columns"]
    assert columns["stage=B"]["used"]
    assert not columns["stage=C"]["used"]


def test_a_rare_covariate_is_in_no_cross_product_of_combat(run: Run, table: pd.DataFrame, asked: Asked) -> None:
    table["hbv"] = 0
    table.loc[100, "hbv"] = 1
    harmonisation = COMBAT | {"preserve": ["a", "hbv"]}
    results = run(table, ["a", "hbv"], variables={"hbv": {"type": "binary"}}, harmonisation=harmonisation)
    sums = next(heard.total.sums for heard in asked if heard.name == "combat")
    assert sums["c"].shape[1] == 1
    assert results["pipeline"]["harmonisation"]["covariates"] == ["a"]


def test_a_level_of_few_patients_has_no_sums_of_its_own(run: Run, table: pd.DataFrame, asked: Asked) -> None:
    table["kernel"] = np.where(np.arange(len(table)) % 2, "soft", "sharp")
    table.loc[[5, 6, 7, 45, 46, 47, 85, 86, 87], "kernel"] = "lung"
    table.loc[[*range(8, 14), *range(48, 54), *range(88, 94)], "kernel"] = None
    levels = {"kernel": {"type": "category", "levels": ["soft", "sharp", "lung"]}}
    harmonisation = COMBAT | {"batch": ["kernel"], "preserve": []}
    results = run(table, ["a"], variables=levels, harmonisation=harmonisation)
    for heard in asked:
        if heard.name == "combat_level_sums":
            assert heard.question["parameters"]["levels"] == [0, 1]
            assert not heard.total.sums["y"][:, 2].any()
    assert any("kernel: lung has too few patients" in note for note in results["notes"])


def test_a_study_stops_where_subtraction_would_show_patients_of_no_level(run: Run, table: pd.DataFrame) -> None:
    table["kernel"] = np.where(np.arange(len(table)) % 2, "soft", "sharp")
    table.loc[[5, 45, 85], "kernel"] = "lung"
    levels = {"kernel": {"type": "category", "levels": ["soft", "sharp", "lung"]}}
    with pytest.raises(StudyStopped, match="difference of two totals"):
        run(table, ["a"], variables=levels, harmonisation=COMBAT | {"batch": ["kernel"], "preserve": []})


def test_two_columns_with_one_gap_each_are_filled_with_their_means(
    run: Run, table: pd.DataFrame, asked: Asked
) -> None:
    table.loc[5, "a"] = np.nan
    table.loc[87, "b"] = np.nan
    results = run(table, CLINICAL, imputation={"method": "regression"})
    assert "cross_products" not in {heard.name for heard in asked}
    assert sum("gaps were filled with the mean" in note for note in results["notes"]) == 2


def test_all_targets_share_one_set_of_rows_far_from_each_targets_own(
    run: Run, table: pd.DataFrame, asked: Asked
) -> None:
    table.loc[::3, "a"] = np.nan
    table.loc[1::4, "b"] = np.nan
    table.loc[2, "c"] = np.nan
    run(table, CLINICAL, imputation={"method": "regression"}, validation=NO_FOLDS)
    heard = next(heard for heard in asked if heard.name == "cross_products")
    parameters, sums = heard.question["parameters"], heard.total.sums
    assert parameters["targets"] == [0, 1]
    assert sums["gram"].ndim == 3
    assert sums["gram"][0, 0, 0] == table[["a", "b"]].notna().all(axis=1).sum()
    known = table[["a", "b"]].notna().sum()
    assert ((known - sums["gram"][0, 0, 0]) >= 10).all()


def test_two_targets_are_regressed_on_the_rows_that_know_both(
    run: Run, table: pd.DataFrame, tmp_path: Path
) -> None:
    table.loc[::3, "a"] = np.nan
    table.loc[1::4, "b"] = np.nan
    results = run(table, CLINICAL, imputation={"method": "regression"}, validation=NO_FOLDS)
    rows = table[["a", "b"]].notna().all(axis=1)
    x, filled = table[CLINICAL].copy(), table[CLINICAL].fillna(table[CLINICAL].mean())
    for target in ("a", "b"):
        others = [c for c in CLINICAL if c != target]
        fit = LinearRegression().fit(table.loc[rows, others], table.loc[rows, target])
        gaps = table[target].isna()
        x.loc[gaps, target] = fit.predict(filled.loc[gaps, others])
    for name in CLINICAL:
        assert results["pipeline"]["columns"][name]["centre"] == pytest.approx(x[name].mean(), abs=1e-9)
        assert results["pipeline"]["columns"][name]["spread"] == pytest.approx(x[name].std(ddof=0), abs=1e-9)


def test_no_bin_shows_the_prediction_of_one_patient(run: Run, table: pd.DataFrame, asked: Asked) -> None:
    table["x"] = np.arange(len(table)) % 2 * 0.1
    table.loc[51, ["x", "mvi"]] = [40.0, 1]
    results = run(table, ["x"])
    histogram = next(heard.total.sums for heard in asked if heard.name == "discrimination")["histogram"].sum(
        axis=1
    )
    assert ((histogram == 0) | (histogram >= 10)).all()
    for scheme in results["performance"].values():
        assert min(group["patients"] for group in scheme["calibration_curve"]) >= 10


def test_one_suppressed_number_of_events_takes_the_next_smallest_with_it() -> None:
    disclosed = {name: Disclosed(patients=40, events=n) for name, n in (("a", 20), ("b", 30), ("c", None))}
    assert events_by_site(disclosed, ("a", "b", "c")) == {"a": 20, "b": None, "c": None}
    assert events_by_site(disclosed, ("a", "b")) == {"a": 20, "b": 30, "c": None}
    both = disclosed | {"b": Disclosed(patients=40)}
    assert events_by_site(both, ("a", "b", "c"))["a"] == 20


def test_a_step_of_the_flow_that_few_patients_leave_shows_a_range() -> None:
    flow = {"read": 120, "met_criteria": 118, "outcome_known": 110, "in_cohort": 110}
    shown = flow_in_ranges(flow)
    assert shown == {"read": 120, "met_criteria": 118, "outcome_known": 110, "in_cohort": 110} | {
        "met_criteria": 118,
        "read": {"at_least": 119, "at_most": 122},
    }
    assert list(shown) == list(flow)


@pytest.mark.parametrize(
    ("known", "missing", "shown"), [(120, [], 120), (118, [], None), (113, [5], None), (100, [12, 8], 100)]
)
def test_one_to_four_missing_values_cannot_be_subtracted(
    known: int, missing: list[int], shown: int | None
) -> None:
    assert known_or_none(known, 120, missing) == shown


def test_results_hide_the_gap_of_one_patient(run: Run, table: pd.DataFrame) -> None:
    table.loc[80, "b"] = np.nan
    table.loc[81, "mvi"] = np.nan
    results = run(table, ["a", "b"])
    assert results["pipeline"]["columns"]["b"]["known"] is None
    assert results["cohort"]["variables"]["b"]["known"] is None
    assert results["flow"]["read"] == {"at_least": 120, "at_most": 123}


def test_a_scanner_of_few_patients_or_with_a_free_text_for_a_name_is_not_sent(run: Run, table: Any) -> None:
    table["scanner"] = "SOMATOM Force"
    table.loc[[0, 1, 2, 3], "scanner"] = "Revolution"
    table.loc[10:20, "scanner"] = "Zhang San, room 4; 555"
    assert run(table, ["a"])["sites"]["north"]["scanners"] == ["SOMATOM Force"]
    with pytest.raises(ValidationError, match="scanner"):
        Disclosed(scanners=("Zhang San, room 4",))
    with pytest.raises(ValidationError, match="at most 20"):
        Disclosed(scanners=tuple(f"model {k}" for k in range(21)))


def test_only_the_coordinator_reads_its_checkpoint(run: Run, table: pd.DataFrame, tmp_path: Path) -> None:
    run(table, ["a"])
    for file in (tmp_path / "out").rglob(f"{Path(CHECKPOINT).name}*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
