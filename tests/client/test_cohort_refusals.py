"""What stops a hospital: each bad input with its code, its place, its patients and its cure."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import Code
from tests.client.test_cohort import a_study, patients, read, refused, survival


def test_an_outcome_column_that_is_absent_is_an_error_with_a_line_to_paste(tmp_path: Path) -> None:
    table = patients("id,age,MVI", "P1,61,1")
    words = ("patients.csv", 'no column "mvi"', '"MVI" is it', "columns.yaml", 'mvi: {name: "MVI"}')
    refused(tmp_path, a_study(["age"]), Code.OUTCOME_MISSING, *words, patients=table)
    text = refused(tmp_path, survival(["age"]), Code.OUTCOME_MISSING, "os_days", "os_event")
    assert text.count("there is no column") == 2


def test_other_needed_columns_that_are_absent_are_errors(tmp_path: Path) -> None:
    table = patients("id,age,mvi", "P1,61,1")
    criterion = {"include": [{"column": "afp", "at_most": 400}]}
    refused(
        tmp_path, a_study(["age"], cohort=criterion), Code.COLUMN_MISSING, "afp", "columns.yaml", patients=table
    )
    preserve = {"method": "combat", "preserve": ["sex"]}
    study = a_study(["age"], radiomics="all", harmonisation=preserve)
    refused(tmp_path, study, Code.COLUMN_MISSING, '"sex"', patients=table, features="id,f\nP1,1\n")
    columns = "columns:\n  age: {name: Alter}\n"
    refused(tmp_path, a_study(["age"]), Code.COLUMN_MISSING, '"Alter"', "columns.yaml gives", columns=columns)


def test_a_third_value_of_the_outcome_is_named_with_its_patients(tmp_path: Path) -> None:
    rows = [f"P{i},61,{value}" for i, value in enumerate("0112211")]
    words = (
        "patients.csv",
        "column mvi",
        '"2" (2 patients: P3, P4)',
        "knows 0, 1",
        'mvi: {levels: {"2": 0 or 1}}',
    )
    refused(tmp_path, a_study(["age"]), Code.OUTCOME_LEVELS, *words, patients=patients("id,age,mvi", *rows))


def test_unmapped_levels_and_texts_are_all_named_at_once_with_lines_to_paste(tmp_path: Path) -> None:
    text = refused(
        tmp_path,
        a_study(["hbv", "sex", "afp", "age", "albi"]),
        Code.UNKNOWN_LEVEL,
        'column hbv holds levels that the study does not know (it knows negative, positive): "阴性" (2 patients: '
        'P1, P2), "阳性" (1 patient: P3)',
        'hbv: {levels: {"阴性": negative, "阳性": positive}}',
        'sex: {levels: {"f": 0 or 1}}',
        'column afp holds text where numbers belong: ">1210" (1 patient: P1)',
        'afp: {values: {">1210": 1210}}',
        "column age holds numbers that are not whole, but the study counts in whole numbers: "
        '"61.5" (1 patient: P1)',
        '"high" (1 patient: P1), "inf" (1 patient: P2)',
        'missing: ["high", "inf"]',
        patients=patients(
            "id,hbv,sex,afp,age,albi,mvi",
            "P1,阴性,1,>1210,61.5,high,1",
            "P2,阴性,f,20,61,inf,1",
            "P3,阳性,0,30,62,-2,0",
        ),
    )
    assert "columns.yaml" in text


def test_a_pasted_cure_cures(tmp_path: Path) -> None:
    table = patients("id,hbv,afp,mvi", "P1,阴性,>1210,1", "P2,阳性,<0.9,否")
    study = a_study(["hbv", "afp"])
    text = refused(tmp_path, study, Code.OUTCOME_LEVELS, patients=table)
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    cohort = read(tmp_path, study, columns="\n".join(["columns:", *lines, ""]))
    np.testing.assert_array_equal(cohort.columns["hbv"], [0, 1])
    np.testing.assert_array_equal(cohort.columns["afp"], [1210, 0.9])
    np.testing.assert_array_equal(cohort.outcome, [1, 0])


def test_thousands_separators_are_not_read_as_decimals(tmp_path: Path) -> None:
    table = patients("id\tafp\tmvi", "P1\t12\t1", "P2\t1,210\t0")
    words = ('"1,210" (1 patient: P2)', "without thousands separators")
    refused(tmp_path, a_study(["afp"]), Code.NOT_A_NUMBER, *words, patients=table)


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        (
            "platelets",
            range(120_000, 300_000, 30_000),
            ["median here is 1.95e+05", "counted in /uL", "factor: 0.001"],
        ),
        ("albumin", (3.9, 4.1, 4.4, 3.1, 2.8, 4.0), ["10 to 70 g/L", "counted in g/dL", "factor: 10"]),
        ("bilirubin", (0.5, 0.7, 0.9, 0.4, 0.8, 1.2), ["6 values", "counted in mg/dL", "factor: 17.104"]),
        ("albi", (-250, -199, -310, -260, -110, -90), ["100 times too high", "factor: 0.01"]),
        ("age", (1950, 1961, 1944, 1970, 1938, 1955), ["18 to 100", "check the column's unit and content"]),
    ],
)
def test_a_column_in_another_unit_stops_the_hospital_with_the_likely_factor(
    tmp_path: Path, column: str, values: Any, words: list[str]
) -> None:
    table = patients(f"id,{column},mvi", *(f"P{i},{value},1" for i, value in enumerate(values)))
    refused(tmp_path, a_study([column]), Code.OUT_OF_RANGE, "patients.csv", column, *words, patients=table)


def test_the_likely_unit_is_told_even_where_it_keeps_everybody_out(tmp_path: Path) -> None:
    study = a_study(["age"], cohort={"include": [{"column": "platelets", "at_most": 1000}]})
    table = patients("id,age,platelets,mvi", *(f"P{i},61,{150_000 + i},1" for i in range(8)))
    refused(tmp_path, study, Code.OUT_OF_RANGE, "platelets: {factor: 0.001}", patients=table)


def test_a_wrong_unit_in_columns_yaml_is_pointed_at(tmp_path: Path) -> None:
    table = patients("id,albumin,mvi", *(f"P{i},{41 + i},1" for i in range(8)))
    columns = "columns:\n  albumin: {unit: g/dL}\n"
    words = ("likely counted in g/L already: take unit: g/dL of albumin out of columns.yaml",)
    refused(tmp_path, a_study(["albumin"]), Code.OUT_OF_RANGE, *words, patients=table, columns=columns)


def test_a_hospital_without_patients_after_criteria_is_told_why(tmp_path: Path) -> None:
    study = a_study(["age"], cohort={"include": [{"column": "age", "at_least": 70}]})
    table = patients("id,age,mvi", "P1,61,1", "P2,62,0")
    words = ("read 2, met criteria 0", "age at least 70", "P1, P2", "do not take part")
    refused(tmp_path, study, Code.TOO_FEW_PATIENTS, *words, patients=table)
    refused(tmp_path, study, Code.TOO_FEW_PATIENTS, "holds no patient", patients="id,age,mvi\n")
    text = refused(tmp_path, a_study(["age"]), Code.TOO_FEW_PATIENTS, patients=patients("id,age,mvi", "P1,61,"))
    assert "mvi is not known: 1 patient: P1" in text


def test_missing_and_unreadable_files_are_told(tmp_path: Path) -> None:
    study = a_study(["age"])
    refused(tmp_path, study, Code.NO_PATIENTS_FILE, "patients.csv", "site.yaml as patients")
    duplicate = patients("id,age,mvi", "P1,61,1", "P1,61,1")
    refused(tmp_path, study, Code.DUPLICATE_PATIENTS, '"P1" on lines 2, 3', patients=duplicate)
    table = patients("id,age,mvi", "P1,61,1")
    refused(
        tmp_path, study, Code.BAD_SITE_FILE, "mine.yaml", "no such file", patients=table, site="columns: mine.yaml"
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("age: {unit: fortnights}", ["columns.age.unit", '"fortnights"', "give factor", "age: {factor: …}"]),
        ("albi: {unit: g/L}", ["columns.albi.unit", "the study gives no unit"]),
        ("hbv: {levels: {阴性: absent}}", ["columns.hbv.levels", '"absent"', "negative, positive"]),
        ("hbv: {values: {阴性: 0}}", ["columns.hbv", "binary", "use levels"]),
        ("age: {levels: {old: 90}}", ["columns.age", "integer", "use values"]),
    ],
)
def test_columns_yaml_and_the_study_must_agree(tmp_path: Path, columns: str, words: list[str]) -> None:
    table = patients("id,age,hbv,albi,mvi", "P1,61,0,-2,1")
    study = a_study(["age", "hbv", "albi"])
    content = f"columns:\n  {columns}\n"
    refused(tmp_path, study, Code.BAD_SITE_FILE, "columns.yaml", *words, patients=table, columns=content)


def test_feature_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    table = patients("id,age,mvi", "P1,61,1")
    study = a_study(["age"], radiomics=["shape_Volume", "glcm_*", "ring_*"])
    refused(tmp_path, study, Code.COLUMN_MISSING, "features.csv", "no such file", "site.yaml", patients=table)
    features = patients("id,shape_volume,glcm_a", "P1,1,2")
    words = ("shape_Volume", "shape_volume looks like shape_Volume", "no feature fits the study's pattern ring_*")
    refused(tmp_path, study, Code.COLUMN_MISSING, *words, features=features)
    refused(
        tmp_path,
        a_study([], radiomics="all"),
        Code.COLUMN_MISSING,
        "all radiomic features, but there is none",
        features="id\nP1\n",
    )


def test_text_among_the_features_is_named_column_by_column(tmp_path: Path) -> None:
    names = [f"f{i}" for i in range(15)]
    text = refused(
        tmp_path,
        a_study([], radiomics="all"),
        Code.NOT_A_NUMBER,
        'column f0 holds text where numbers belong: "broken" (1 patient: P2)',
        "features.csv: and text in 5 more columns",
        patients=patients("id,mvi", "P1,1", "P2,0"),
        features=patients(
            ",".join(["id", *names]), ",".join(["P1", *"1" * 15]), ",".join(["P2", *["broken"] * 15])
        ),
    )
    assert "f9" in text
    assert "f10" not in text


def test_an_error_names_the_first_few_patients_and_counts_the_rest(tmp_path: Path) -> None:
    study = a_study(["age"], cohort={"include": [{"column": "age", "at_least": 70}]})
    table = patients("id,age,mvi", *(f"P{i:02},61,1" for i in range(72)))
    text = refused(
        tmp_path, study, Code.TOO_FEW_PATIENTS, "72 patients: P00, P01, P02 and 69 more", patients=table
    )
    assert "P03" not in text


def test_a_name_that_columns_yaml_gives_and_the_file_lacks_is_said_in_one_sentence(tmp_path: Path) -> None:
    refused(
        tmp_path,
        a_study(["age", "afp"]),
        Code.COLUMN_MISSING,
        'there is no column "AFP_serum", although columns.yaml gives it as the name of afp; if "AFP serum" is it, ',
        patients=patients("id,age,AFP serum,mvi", "P1,61,20,1"),
        columns="columns:\n  afp: {name: AFP_serum}\n",
    )


def test_the_id_is_found_by_this_hospitals_name_and_never_as_a_column(tmp_path: Path) -> None:
    study = a_study(["age", "病历号"], radiomics="all")
    features, columns = patients("id,f", "P1,1", "P2,2"), "columns:\n  id: {name: 病历号}\n"
    table = patients("病历号,age,mvi", "P1,61,1", "P2,62,0")
    refused(tmp_path, study, Code.UNREADABLE_FILE, 'id: {name: "病历号"}', patients=table, features=features)
    cohort = read(tmp_path, study, columns=columns)
    assert cohort.ids == ("P1", "P2")
    assert cohort.absent == ("病历号",)
    renamed = features.replace("id,", "病历号;").replace(",", ";")
    again = read(tmp_path, study, patients=table.replace(",", "\t"), features=renamed, columns=columns)
    assert again.digest == cohort.digest
    both = patients("id,病历号,age,mvi", "P1,P1,61,1")
    refused(tmp_path, study, Code.UNREADABLE_FILE, 'columns 1 and 2 are both named "id"', "病历号", patients=both)
    other = patients("name,age,mvi", "P1,61,1")
    refused(tmp_path, study, Code.UNREADABLE_FILE, 'must be id or "病历号", as columns.yaml', patients=other)
