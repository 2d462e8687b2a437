"""Synthetic hospitals are folders as DESIGN.md draws a hospital's folder, with a valid study beside them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from common.errors import HepafedError
from common.study import Study
from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.synthesis import NAMES
from tests.deploy.written_hospitals import sites, tables


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration: four hospitals of sixty."""
    folder = tmp_path_factory.mktemp("demo")
    write_hospitals(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_holds_hospitals_a_study_and_the_truth(demo: Path) -> None:
    assert sorted(p.name for p in demo.iterdir()) == [
        "harbour",
        "lakeside",
        "north",
        "study.yaml",
        "truth",
        "valley",
    ]
    for site in sites(demo):
        assert sorted(p.name for p in site.iterdir()) == ["features.csv", "patients.csv", "site.yaml"]
    assert not {"site.yaml", "patients.csv"} & {p.name for p in (demo / "truth").iterdir()}


def test_a_site_file_names_the_hospital_its_files_and_its_policy(demo: Path) -> None:
    for site in sites(demo):
        assert yaml.safe_load((site / "site.yaml").read_text("utf-8")) == {
            "name": site.name,
            "patients": "patients.csv",
            "features": "features.csv",
            "policy": {"minimum_patients": 10, "single_hospital_sums": True},
        }


def test_the_same_arguments_write_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    write_hospitals(tmp_path, sites=4, patients=60, seed=7)
    assert contents(tmp_path) == contents(demo)
    write_hospitals(tmp_path, sites=4, patients=60, seed=7)
    assert contents(tmp_path) == contents(demo)


def test_another_seed_writes_other_patients(demo: Path, tmp_path: Path) -> None:
    write_hospitals(tmp_path, seed=8)
    assert (tmp_path / "north/patients.csv").read_bytes() != (demo / "north/patients.csv").read_bytes()


def test_more_hospitals_leave_the_patients_of_the_others_as_they_are(demo: Path, tmp_path: Path) -> None:
    write_hospitals(tmp_path, sites=6)
    for file in ("{}_latent.csv", "{}_clean_features.csv"):
        few, many = tables(demo, file), tables(tmp_path, file)
        for name, table in few.items():
            common = table.index.intersection(many[name].index)
            assert len(common) >= 30
            pd.testing.assert_frame_equal(table.loc[common], many[name].loc[common])


@pytest.mark.parametrize(("count", "patients", "smallest"), [(4, 60, 30), (7, 40, 30), (5, 12, 10), (3, 10, 10)])
def test_hospitals_are_uneven_and_add_up(tmp_path: Path, count: int, patients: int, smallest: int) -> None:
    write_hospitals(tmp_path, sites=count, patients=patients)
    sizes = [len(table) for table in tables(tmp_path, "patients.csv").values()]
    assert sum(sizes) == count * patients
    assert min(sizes) >= smallest
    assert len(set(sizes)) > 1 or patients == smallest


def test_patients_have_pseudonyms_of_their_own_in_the_same_order_in_every_file(demo: Path) -> None:
    patients = tables(demo, "patients.csv")
    everyone = pd.concat(patients.values()).index
    assert everyone.is_unique
    assert everyone.str.fullmatch(r"[A-Z]{3}-\d{4}").all()
    for file in ("features.csv", "{}_clean_features.csv", "{}_latent.csv"):
        for name, table in tables(demo, file).items():
            assert table.index.equals(patients[name].index)


def test_names_and_pseudonyms_stay_distinct_for_many_hospitals(tmp_path: Path) -> None:
    assert len(NAMES) == len(set(NAMES)) == len({name[:3] for name in NAMES}) == 40
    write_hospitals(tmp_path, sites=42, patients=10)
    patients = tables(tmp_path, "patients.csv")
    assert len(patients) == 42
    assert {"hospital-041", "hospital-042"} < set(patients)
    assert pd.concat(patients.values()).index.is_unique


def test_the_study_is_valid_and_its_dictionary_covers_every_clinical_column(demo: Path) -> None:
    study = Study.from_file(demo / "study.yaml")
    for name, table in tables(demo, "patients.csv").items():
        assert set(table.columns) - {"scanner"} == set(study.variables)
        selected = study.predictors.matching(list(tables(demo, "features.csv")[name].columns))
        assert 5 <= len(selected) <= 10, "with four clinical columns, what the smallest hospital allows"
        for column, variable in study.variables.items():
            known = table[column].dropna()
            if variable.range is not None:
                assert known.between(*variable.range).all(), column
            if variable.transform == "log10":
                assert (known > 0).all(), column
            if variable.type == "integer":
                assert (known == known.round()).all(), column
            if variable.type == "binary":
                assert known.isin([0, 1]).all(), column
            if variable.type == "category":
                assert known.isin(variable.levels or []).all(), column
            assert variable.labels.en, column
            assert variable.labels.zh, column


def test_features_have_the_same_pyradiomics_names_everywhere(demo: Path) -> None:
    columns = [list(table.columns) for table in tables(demo, "features.csv").values()]
    assert all(c == columns[0] for c in columns)
    assert len(set(columns[0])) == len(columns[0]) >= 112
    pattern = (
        r"(tumour|ring5mm)_(original|wavelet-[LH]{3}|log-sigma-\d-0-mm-3D)_(shape|firstorder|gl[crs][a-z]*)_\w+"
    )
    assert pd.Index(columns[0]).str.fullmatch(pattern).all()


def test_albi_is_the_published_score_of_the_albumin_and_bilirubin_beside_it(demo: Path) -> None:
    for table in tables(demo, "patients.csv").values():
        expected = 0.66 * np.log10(table.bilirubin) - 0.085 * table.albumin
        np.testing.assert_allclose(table.albi, expected, atol=6e-4)
        assert (table.albi.isna() == (table.albumin.isna() | table.bilirubin.isna())).all()


def test_without_hospital_effect_measured_features_are_the_clean_ones(tmp_path: Path) -> None:
    write_hospitals(tmp_path, patients=20, hospital_effect=False)
    for name, measured in tables(tmp_path, "features.csv").items():
        pd.testing.assert_frame_equal(measured, tables(tmp_path, "{}_clean_features.csv")[name])


def test_a_feature_is_missing_for_ten_patients_or_more_or_for_none(demo: Path) -> None:
    missing = pd.DataFrame({name: table.isna().sum() for name, table in tables(demo, "features.csv").items()})
    counts = missing.to_numpy()[missing.to_numpy() > 0]
    assert counts.min() >= 10
    assert (missing > 0).any(axis=1).sum() == 3
    assert (missing == 0).any(axis=1).all()


def test_small_hospitals_miss_no_features(tmp_path: Path) -> None:
    write_hospitals(tmp_path, patients=39)
    assert not any(table.isna().any(axis=None) for table in tables(tmp_path, "features.csv").values())


def test_medians_of_hospitals_are_within_a_factor_of_ten(demo: Path) -> None:
    binary = ["sex", "hbv", "hcv", "cirrhosis", "mvi", "early_recurrence", "os_event", "rfs_event"]
    for file in ("patients.csv", "features.csv"):
        found = tables(demo, file)
        medians = pd.DataFrame({name: t.median(numeric_only=True) for name, t in found.items()})
        medians = medians.drop(index=binary, errors="ignore")
        assert ((medians > 0).all(axis=1) | (medians < 0).all(axis=1)).all()
        assert (medians.abs().max(axis=1) / medians.abs().min(axis=1)).max() < 10


@pytest.mark.parametrize("wrong", [{"sites": 0}, {"patients": 9}, {"seed": -1}])
def test_numbers_that_cannot_be_met_are_refused_in_words(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(HepafedError, match="ask for"):
        write_hospitals(tmp_path, **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_real_hospital_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "north").mkdir()
    (tmp_path / "north/site.yaml").write_text("name: north\n", "utf-8")
    with pytest.raises(HepafedError, match="not synthetic"):
        write_hospitals(tmp_path, patients=10)
    assert [p.name for p in (tmp_path / "north").iterdir()] == ["site.yaml"]


def test_hospitals_of_an_earlier_demonstration_do_not_stay_among_the_new(tmp_path: Path) -> None:
    write_hospitals(tmp_path, sites=4, patients=10)
    with pytest.raises(HepafedError, match="earlier demonstration"):
        write_hospitals(tmp_path, sites=3, patients=10)
