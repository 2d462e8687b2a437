"""A hospital's folder as a cohort: what is read, who is left out, and what stops it in words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.cohort.cohort import Cohort, read_cohort
from client.site import open_site
from common.errors import Code, HospitalError
from common.study import Study

VARIABLES: dict[str, Any] = {
    "age": {"type": "integer", "unit": "a", "range": [18, 100]},
    "sex": {"type": "binary"},
    "hbv": {"type": "binary", "levels": ["negative", "positive"]},
    "child_pugh": {"type": "category", "levels": ["A", "B", "C"]},
    "afp": {"unit": "ng/mL", "range": [0, 1_000_000], "transform": "log10"},
    "albumin": {"unit": "g/L", "range": [10, 70]},
    "bilirubin": {"unit": "umol/L", "range": [1, 800]},
    "platelets": {"type": "integer", "unit": "10^9/L", "range": [5, 1500]},
    "albi": {"range": [-6, 2]},
}


def a_study(clinical: list[str], radiomics: Any = None, **changes: Any) -> Study:
    content: dict[str, Any] = {
        "study": "test",
        "outcome": {"kind": "binary", "column": "mvi"},
        "predictors": {"clinical": clinical, "radiomics": radiomics},
        "variables": VARIABLES,
    }
    return Study.from_content(content | changes, "study.yaml")


def survival(clinical: list[str], **changes: Any) -> Study:
    outcome = {"kind": "survival", "time": "os_days", "event": "os_event"}
    return a_study(clinical, outcome=outcome, model={"kind": "cox"}, **changes)


def read(folder: Path, study: Study, **files: str) -> Cohort:
    """The cohort of a folder with these files: patients, features (csv), columns, site (yaml)."""
    endings = {"patients": "csv", "features": "csv", "columns": "yaml", "site": "yaml"}
    for name, content in files.items():
        (folder / f"{name}.{endings[name]}").write_text(content, encoding="utf-8")
    return read_cohort(open_site(folder, folder), study)


def refused(folder: Path, study: Study, code: Code, *words: str, **files: str) -> str:
    with pytest.raises(HospitalError) as caught:
        read(folder, study, **files)
    text = str(caught.value)
    assert caught.value.code == code, text
    for word in words:
        assert word in text, text
    return text


def patients(header: str, *rows: str) -> str:
    return "\n".join([header, *rows, ""])


def test_columns_are_read_in_the_studys_units_and_levels(tmp_path: Path) -> None:
    cohort = read(
        tmp_path,
        a_study(["age", "sex", "hbv", "child_pugh", "afp", "albumin", "bilirubin", "platelets"]),
        patients=patients(
            "id;Alter;Geschlecht;hbv;child_pugh;AFP;ALB;bilirubin;PLT;mvi;scanner",
            "P2;61.0;w;positive;B;>1210;4,1;1,2;153400;0;Aera",
            "P1;５０;m;0;NA;3,5;不详;0,9;98000;1.0;",
            "P3;72;m;阴性;A;20;3,9;?;98000;0;Gerät 7",
        ),
        columns="""
columns:
  age: {name: Alter}
  sex: {name: Geschlecht, levels: {w: 0, m: 1}}
  hbv: {levels: {阴性: negative}}
  afp: {name: AFP, values: {">1210": 1210}}
  albumin: {name: ALB, unit: g/dL}
  bilirubin: {unit: mg/dL}
  platelets: {name: PLT, factor: 0.001}
  scanner: {levels: {Gerät 7: Skyra}}
missing: [不详]
""",
    )
    assert cohort.ids == ("P1", "P2", "P3")
    assert cohort.absent == ()
    expected = {
        "age": [50, 61, 72],
        "sex": [1, 0, 1],
        "hbv": [0, 1, 0],
        "child_pugh": [np.nan, 1, 0],
        "afp": [3.5, 1210, 20],
        "albumin": [np.nan, 41, 39],
        "bilirubin": [0.9 * 17.104, 1.2 * 17.104, np.nan],
        "platelets": [98, 153, 98],
    }
    assert list(cohort.columns) == list(expected)
    for column, values in expected.items():
        np.testing.assert_allclose(cohort.columns[column], values, rtol=1e-12, err_msg=column)
    np.testing.assert_array_equal(cohort.outcome, [1, 0, 0])
    assert cohort.scanner == ("", "Aera", "Skyra")
    assert cohort.features.shape == (3, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_same_patients_are_the_same_cohort_in_any_encoding_and_order(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    study = a_study(["年龄", "albi"])
    rows = ["P1,61,-2.5,1", "P2,62,0.0,0", "P3,,-1.25,1"]
    first = read(tmp_path, study, patients=patients("id,年龄,albi,mvi", *rows))
    text = patients("id,年龄,albi,mvi", *reversed(rows)).replace(",", delimiter).replace("0.0", "-0")
    if delimiter != ",":
        text = text.replace(".", ",")
    (tmp_path / "patients.csv").write_bytes(text.encode(encoding))
    again = read_cohort(open_site(tmp_path, tmp_path), study)
    assert again.digest == first.digest
    changed = read(tmp_path, study, patients=patients("id,年龄,albi,mvi", *rows).replace("61", "63"))
    assert changed.digest != first.digest


def test_what_is_read_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    cohort = read(tmp_path, a_study(["age"]), patients=patients("id,age,mvi", "P1,61,1"))
    with pytest.raises(ValueError, match="read-only"):
        cohort.outcome[0] = 0


def test_patients_are_left_out_step_by_step_and_named(tmp_path: Path) -> None:
    study = a_study(
        ["age", "afp"],
        radiomics=["glcm_*", "shape_Sphericity"],
        cohort={
            "include": [
                {"column": "age", "at_least": 18, "at_most": 90},
                {"column": "child_pugh", "one_of": ["A", "B"]},
                {"column": "hbv", "known": True},
            ]
        },
    )
    cohort = read(
        tmp_path,
        study,
        patients=patients(
            "id,age,afp,child_pugh,hbv,mvi",
            "IN1,61,20,A,0,1",
            "IN2,62,,B,1,0",
            "OLD,91,20,A,0,1",
            "AGELESS,,20,A,0,1",
            "CHILDC,61,20,C,0,1",
            "NOHBV,61,20,A,,1",
            "NOMVI,61,20,A,0,",
            "AFP0,61,0,A,0,1",
            "NOROW,61,20,A,0,1",
            "EMPTY,61,20,A,0,1",
        ),
        features=patients(
            "id,glcm_b,diagnostics_Versions,shape_Sphericity,other,glcm_a",
            *[f"{p},1.5,v3.0.1,0.8,text,{i}" for i, p in enumerate(["STRANGER", "IN2", "IN1", "AFP0", "OLD"])],
            "EMPTY,,v3.0.1,NA,text,",
        ),
    )
    assert cohort.ids == ("IN1", "IN2")
    assert list(cohort.flow.items()) == [
        ("read", 10),
        ("met_criteria", 6),
        ("outcome_known", 5),
        ("in_range", 4),
        ("with_features", 2),
        ("in_cohort", 2),
    ]
    assert cohort.feature_names == ("glcm_b", "shape_Sphericity", "glcm_a")
    np.testing.assert_array_equal(cohort.features, [[1.5, 0.8, 2], [1.5, 0.8, 1]])
    assert set(cohort.columns) == {"age", "afp", "child_pugh", "hbv"}
    notes = "\n".join(cohort.notes)
    for words in (
        "'age at least 18 and at most 90': 2 patients: AGELESS, OLD",
        "'child_pugh one of A, B': 1 patient: CHILDC",
        "'hbv known': 1 patient: NOHBV",
        "mvi is not known: 1 patient: NOMVI",
        "above 0, for its logarithm; found 0): 1 patient: AFP0",
        "no features in features.csv: 2 patients: EMPTY, NOROW",
        "1 patient not in patients.csv, not used: STRANGER",
        "none of the features asked for is known for EMPTY",
    ):
        assert words in notes, notes


def test_a_predictor_that_a_hospital_lacks_is_said_and_kept_as_missing(tmp_path: Path) -> None:
    cohort = read(
        tmp_path,
        a_study(["age", "albumin"]),
        patients=patients("id,age,Albumin ,mvi", "P1,61,40,1"),
        columns="columns:\n  albumn: {unit: g/dL}\n",
    )
    assert cohort.absent == ("albumin",)
    assert np.isnan(cohort.columns["albumin"]).all()
    (note,) = cohort.notes
    for words in (
        "patients.csv",
        'no column "albumin"',
        '"Albumin" is it',
        'albumin: {name: "Albumin"}',
        '"albumn"',
    ):
        assert words in note, note


def test_survival_is_time_and_event(tmp_path: Path) -> None:
    cohort = read(
        tmp_path,
        survival(["age"]),
        patients=patients("id,age,os_days,os_event", "P1,61,0,1", "P2,62,12,0", "P3,63,-3,1", "P4,64,,1"),
        columns="columns:\n  os_days: {unit: months}\n",
    )
    np.testing.assert_array_equal(cohort.outcome, [[0, 1], [365.25, 0]])
    assert cohort.flow["outcome_known"] == 3
    assert any("os_days lies outside" in note and "P3" in note for note in cohort.notes)


def test_classes_are_indices_of_the_studys_levels(tmp_path: Path) -> None:
    study = a_study(["age"], outcome={"kind": "multiclass", "column": "child_pugh"}, model={"kind": "multinomial"})
    header, rows = "id,age,child_pugh", ("P1,61,C", "P2,62,A")
    np.testing.assert_array_equal(read(tmp_path, study, patients=patients(header, *rows)).outcome, [2, 0])
    refused(tmp_path, study, Code.OUTCOME_LEVELS, '"D"', "A, B, C", patients=patients(header, "P1,61,D", "P2,6,A"))


def test_a_hospital_that_codes_one_and_two_is_not_guessed_at(tmp_path: Path) -> None:
    study, columns = a_study(["sex"]), "columns:\n  sex: {levels: {1: 0, 2: 1}}\n"
    cohort = read(tmp_path, study, patients=patients("id,sex,mvi", "P1,1,1", "P2,2.0,1"), columns=columns)
    np.testing.assert_array_equal(cohort.columns["sex"], [0, 1])
    refused(tmp_path, study, Code.UNKNOWN_LEVEL, '"0" (1 patient: P1)', patients=patients("id,sex,mvi", "P1,0,1"))


def test_a_level_that_reads_like_missing_is_a_level(tmp_path: Path) -> None:
    variables = {"ascites": {"type": "category", "levels": ["none", "mild"]}}
    study = a_study(["ascites"], variables=variables)
    cohort = read(tmp_path, study, patients=patients("id,ascites,mvi", "P1,none,1", "P2,NA,1"))
    np.testing.assert_array_equal(cohort.columns["ascites"], [0, np.nan])


def test_site_yaml_names_files_and_their_encoding(tmp_path: Path) -> None:
    (tmp_path / "Tabelle.csv").write_bytes("id;Größe;mvi\nP1;3,5;1\n".encode("latin-1"))
    study = a_study(["Größe"])
    cohort = read(tmp_path, study, site="patients: Tabelle.csv\nencoding: latin-1\n")
    np.testing.assert_array_equal(cohort.columns["Größe"], [3.5])
    with pytest.raises(HospitalError, match="looks like Western text"):
        read(tmp_path, study, site="patients: Tabelle.csv\n")
    (tmp_path / "Tabelle.csv").write_text("id;Größe;mvi\nP1;3,5;1\n", encoding="utf-8")
    with pytest.raises(HospitalError, match="looks like UTF-8"):
        read(tmp_path, study, site="patients: Tabelle.csv\nencoding: latin-1\n")


def test_where_the_encoding_was_guessed_a_column_that_is_absent_says_so(tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_bytes(patients("id,年龄,mvi", "P1,61,1").encode("gb18030"))
    notes = read(tmp_path, a_study(["岁数"])).notes
    (note,) = [note for note in notes if 'no column "岁数"' in note]
    assert "read as GB18030" in note
    assert "encoding in site.yaml" in note


def test_criteria_may_list_numbers_and_levels(tmp_path: Path) -> None:
    include = [{"column": "age", "one_of": [61, 62.0]}, {"column": "hbv", "one_of": ["positive"]}]
    table = patients("id,age,hbv,mvi", "P1,61,1,1", "P2,62,negative,1", "P3,63,1,0", "P4,62,positive,0")
    assert read(tmp_path, a_study(["age"], cohort={"include": include}), patients=table).ids == ("P1", "P4")


def test_a_few_values_out_of_range_leave_their_patients_out_only(tmp_path: Path) -> None:
    table = patients("id,age,mvi", *(f"P{i},{age},1" for i, age in enumerate([61, 62, 611, 17, 63])))
    cohort = read(tmp_path, a_study(["age"]), patients=table)
    assert cohort.ids == ("P0", "P1", "P4")
    assert any("18 to 100 a; found 611, 17): 2 patients: P2, P3" in note for note in cohort.notes)
