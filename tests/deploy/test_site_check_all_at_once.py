"""One run of `hepafed site check` says every fault there is: no fault hides behind another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.checked_hospital import HEALTHY, check, hospital, study_file, write_table

TABLES: dict[str, Any] = {
    "features": None,
    "predictors": {"clinical": ["age", "albumin"], "radiomics": ["shape_*", "texture_*"]},
    "variables": {
        "age": {"type": "integer", "unit": "years", "range": [18, 90]},
        "albumin": {"unit": "g/L", "range": [10, 70]},
        "tumour_size_mm": {"unit": "mm"},
    },
    "cohort": {"include": [{"column": "tumour_size_mm", "at_least": 1}]},
}
"""A study on features.csv."""

Spoil = Callable[[dict[str, dict[str, str]]], None]


def every(column: str, text: str) -> Spoil:
    def spoil(rows: dict[str, dict[str, str]]) -> None:
        for row in rows.values():
            row[column] = text

    return spoil


def without(column: str) -> Spoil:
    def spoil(rows: dict[str, dict[str, str]]) -> None:
        for row in rows.values():
            del row[column]

    return spoil


def one(patient: str, column: str, text: str) -> Spoil:
    def spoil(rows: dict[str, dict[str, str]]) -> None:
        rows[patient][column] = text

    return spoil


PATIENTS: list[tuple[str, Spoil, str]] = [
    ("a criterion's column is missing", without("tumour_size_mm"), 'there is no column "tumour_size_mm"'),
    ("text in a numeric column", one("P1", "age", "sixty"), 'column age holds text where numbers belong: "sixty"'),
    ("an unknown level of the outcome", one("P2", "mvi", "maybe"), "column mvi holds"),
    ("a column in another unit", every("albumin", "4.1"), "8 of 8 values lie outside what the study allows"),
]
"""Faults of patients.csv: in words of the finding."""

FEATURES: list[tuple[str, str, str]] = [
    ("features.csv is missing", "", "features.csv: there is no such file"),
    ("a feature is missing", "id,shape_a\nP0,1\n", "no feature fits the study's pattern texture_*"),
    ("text in a feature", "id,shape_a,texture_b\nP0,1,x\nP1,1,2\n", "column texture_b holds text"),
    ("a line too long", "id,shape_a,texture_b\nP0,1,2,3\nP1,1,2\n", "features.csv, line 2: 4 cells"),
    ("a patient twice", "id,shape_a,texture_b\nP0,1,2\nP0,1,2\n", '"P0" on lines 2, 3'),
]
"""Faults of features.csv, and what it holds then."""


def with_faults(folder: Path, spoils: list[Spoil], features: str) -> Path:
    rows = {f"P{i}": dict(HEALTHY) for i in range(8)}
    for spoil in spoils:
        spoil(rows)
    folder.mkdir()
    write_table(folder, rows)
    if features:
        (folder / "features.csv").write_text(features, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("what", "features", "words"), FEATURES, ids=[line[0] for line in FEATURES])
def test_faults_of_every_column_and_every_file_are_said_in_one_run(
    tmp_path: Path, what: str, features: str, words: str
) -> None:
    folder = with_faults(tmp_path / "north", [spoil for _, spoil, _ in PATIENTS], features)
    found = check(folder, "--study", study_file(tmp_path, **TABLES))
    assert found.exit_code == 1
    for said in (*(said for _, _, said in PATIENTS), words):
        stopping = [line for line in found.output.splitlines() if line.startswith("stops") and said in line]
        assert len(stopping) == 1, (said, found.output)


@pytest.mark.parametrize(("what", "spoil", "words"), PATIENTS, ids=[line[0] for line in PATIENTS])
def test_each_of_these_faults_alone_is_said_in_the_same_words(
    tmp_path: Path, what: str, spoil: Spoil, words: str
) -> None:
    healthy = "id,shape_a,texture_b\n" + "".join(f"P{i},1,{i}\n" for i in range(8))
    folder = with_faults(tmp_path / "north", [spoil], healthy)
    found = check(folder, "--study", study_file(tmp_path, **TABLES))
    (line,) = [line for line in found.output.splitlines() if line.startswith("stops")]
    assert words in line


def test_an_id_on_two_lines_does_not_hide_that_the_outcome_is_missing(tmp_path: Path) -> None:
    folder = with_faults(tmp_path / "north", [without("mvi")], "id,shape_a,texture_b\nP0,1,2\n")
    with (folder / "patients.csv").open("a", encoding="utf-8") as file:
        file.write("P0,61,12.5,41,160,35\n")
    found = check(folder, "--study", study_file(tmp_path, **TABLES))
    assert "the id stands on lines 2, 10" in found.output
    assert 'there is no column "mvi", the study\'s outcome' in found.output


def test_lines_that_cannot_be_taken_apart_do_not_hide_the_faults_of_the_others(tmp_path: Path) -> None:
    folder = with_faults(tmp_path / "north", [one("P1", "age", "sixty")], "id,shape_a,texture_b\nP0,1,2\n")
    with (folder / "patients.csv").open("a", encoding="utf-8") as file:
        file.write("P8,61,12,5,41,160,35,1\n,61,12.5,41,160,35,1\nP0,61,12.5,41,160,35,1\n")
    found = check(folder, "--study", study_file(tmp_path, **TABLES))
    for words in (
        "line 10: 8 cells, but the header has 7",
        "line 11: the patient has no id",
        "the id stands on lines 2, 12",
        'column age holds text where numbers belong: "sixty"',
    ):
        assert words in found.output, found.output
    assert "9 patients checked" in found.output


def test_a_fault_of_columns_yaml_does_not_hide_those_of_the_tables(tmp_path: Path) -> None:
    rows = [one("P1", "age", "sixty"), every("albumin", "4.1"), every("tumour_size_mm", "3.5")]
    folder = with_faults(tmp_path / "north", rows, "")
    (folder / "columns.yaml").write_text(
        "columns:\n  albumin: {unti: g/dL}\n  tumour_size_mm: {unit: furlongs}\n  mvi: {name: MVI}\nmising: [x]\n",
        encoding="utf-8",
    )
    found = check(folder, "--study", study_file(tmp_path, **TABLES))
    for words in (
        "did you mean 'unit'",
        "did you mean 'missing'",
        'no conversion from "furlongs" to the study\'s "mm" is known',
        'there is no column "MVI"',
        '"sixty"',
        "features.csv: there is no such file",
    ):
        assert words in found.output, (words, found.output)
    assert "albumin: 8 of 8 values" not in found.output  # what its unit is stands in the line that cannot be read


def test_a_columns_yaml_that_is_no_yaml_accuses_no_column(tmp_path: Path) -> None:
    folder = with_faults(tmp_path / "north", [], "")
    (folder / "columns.yaml").write_text("columns: {\n", encoding="utf-8")
    found = check(folder, "--study", study_file(tmp_path, **TABLES))
    assert "columns.yaml, line 2" in found.output
    assert "features.csv: there is no such file" in found.output
    assert "there is no column" not in found.output


def test_without_a_study_the_form_of_features_csv_is_checked_beside_that_of_patients_csv(tmp_path: Path) -> None:
    folder = with_faults(tmp_path / "north", [], "id,a,a\nP0,1,2\nP1,1\n")
    with (folder / "patients.csv").open("a", encoding="utf-8") as file:
        file.write("P8,61\n")
    found = check(folder)
    for words in ("line 10: 2 cells", 'columns 2 and 3 are both named "a"', "features.csv, line 3: 2 cells"):
        assert words in found.output, (words, found.output)


def test_a_fault_of_site_yaml_does_not_hide_those_of_the_files_that_it_names(tmp_path: Path) -> None:
    folder = with_faults(tmp_path / "north", [one("P1", "age", "sixty")], "")
    (folder / "patients.csv").rename(folder / "ours.csv")
    (folder / "site.yaml").write_text(
        "nme: north\npatients: ours.csv\npolicy: {minimum_patients: 5, single_hospital_sums: true}\n",
        encoding="utf-8",
    )
    found = check(folder, "--study", study_file(tmp_path, **TABLES))
    assert found.exit_code == 1
    for words in (
        "did you mean 'name'",
        "add lower_floor_reason",
        '"sixty"',
        "features.csv: there is no such file",
    ):
        assert words in found.output, (words, found.output)


def test_a_fault_of_images_yaml_does_not_hide_those_of_the_images(tmp_path: Path) -> None:
    folder = hospital(tmp_path / "north")
    (folder / "images" / "images.yaml").write_text("modalty: CT\n", encoding="utf-8")
    (folder / "images" / "P1" / "tumour.nii.gz").unlink()
    write_table(folder, {f"P{i}": HEALTHY for i in range(4)})
    found = check(folder)
    for words in ("did you mean 'modality'", "there is no folder images/P3", "patient P1"):
        assert words in found.output, (words, found.output)
