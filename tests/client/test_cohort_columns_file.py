"""columns.yaml: units by a closed table, texts as texts, and every fault with its line and cure."""

from pathlib import Path

import pytest

from client.cohort.columns_file import read_columns_file
from common.errors import Code, HospitalError
from common.units import conversion, other_units


def refused(folder: Path, text: str, *words: str) -> None:
    path = folder / "columns.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HospitalError) as caught:
        read_columns_file(path)
    assert caught.value.code == Code.BAD_SITE_FILE
    for word in ("columns.yaml", *words):
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("column", "given", "wanted", "factor"),
    [
        ("afp", "µg/L", "ng/mL", 1.0),
        ("afp", "ug/l", "NG/ML", 1.0),
        ("afp", "IU/mL", "ng/mL", 1.21),
        ("albumin", "g/dL", "g/L", 10.0),
        ("crp", "mg/dL", "mg/L", 10.0),
        ("tumour_size_mm", "cm", "mm", 10.0),
        ("size", "mm", "cm", 0.1),
        ("os_days", "months", "d", 30.4375),
        ("os_days", "years", "days", 365.25),
        ("age", "y", "a", 1.0),
        ("platelets", "G/L", "10^9/L", 1.0),
        ("platelets", "10*3/uL", "10⁹/L", 1.0),
        ("platelets", "10E9/L", "×10^9/L", 1.0),
        ("platelets", "x 10^9 / L", "10**9/L", 1.0),
        ("platelets", "/µL", "10^9/L", 0.001),
        ("platelets", "/mm³", "10^9/L", 0.001),
        ("total_bilirubin", "mg/dL", "umol/L", 17.104),
        ("bilirubin", "umol/L", "mg/dL", 1 / 17.104),
        ("bilirubin", "mg/L", "µmol/L", 1.7104),
        ("creatinine", "mg/dL", "µmol/L", 88.42),
        ("glucose", "mg/dL", "mmol/L", 1 / 18.016),
        ("alt", "U/L", "IU/L", 1.0),
        ("score", "points", "points", 1.0),
    ],
)
def test_units_are_converted_by_the_closed_table(column: str, given: str, wanted: str, factor: float) -> None:
    assert conversion(column, given, wanted) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("column", "given", "wanted"),
    [
        ("urea", "mg/dL", "mmol/L"),  # needs urea's own molar mass
        ("bilirubin", "mg/dL", "10^9/L"),
        ("albumin", "G/L", "g/L"),  # giga in a litre is no gram
        ("afp", "quarts", "ng/mL"),
    ],
)
def test_units_that_the_table_does_not_know_are_not_guessed(column: str, given: str, wanted: str) -> None:
    assert conversion(column, given, wanted) is None


def test_the_units_that_may_be_meant_come_nearest_first() -> None:
    factors = [other.factor for other in other_units("platelets", "10^9/L")]
    assert factors == [10.0, 1000.0, 0.001] or factors == [10.0, 0.001, 1000.0]
    assert other_units("score", None) == []


def test_a_unit_is_proposed_as_laboratories_write_it_and_read_back() -> None:
    for column, wanted in (("afp", "ng/mL"), ("platelets", "10^9/L"), ("bilirubin", "umol/L"), ("os", "d")):
        for other in other_units(column, wanted):
            assert conversion(column, other.unit, wanted) == other.factor
    assert {other.unit for other in other_units("albumin", "g/L")} >= {"g/dL", "mg/dL", "ug/mL"}


def test_a_file_that_is_not_there_says_nothing_unless_site_yaml_names_it(tmp_path: Path) -> None:
    assert read_columns_file(tmp_path / "columns.yaml").columns == {}
    with pytest.raises(HospitalError, match="there is no such file"):
        read_columns_file(tmp_path / "columns.yaml", required=True)


def test_levels_may_be_numbers_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text(
        "columns:\n  hbv: {levels: {阴性: 0, 阳性: 1, 2: 1}}\nmissing: [不详, 999]\n", encoding="utf-8"
    )
    file = read_columns_file(path)
    assert file.entry("hbv").levels == {"阴性": "0", "阳性": "1", "2": "1"}
    assert {"不详", "999", "na", ""} <= file.missing_texts


def test_the_id_may_have_another_name_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text("columns:\n  id: {name: 病历号}\n", encoding="utf-8")
    assert read_columns_file(path).name_of("id") == "病历号"
    refused(
        tmp_path, "columns:\n  id:\n    name: x\n    unit: g\n", "line 4", "columns.id.unit: id takes a name only"
    )
    refused(tmp_path, "columns:\n  id: {name: x}\n  age: {name: x}\n", "id and age are both called")


def test_each_fault_has_its_line_and_cure(tmp_path: Path) -> None:
    refused(tmp_path, "columns:\n  afp: {nmae: AFP}\n", "line 2", "columns.afp.nmae", "did you mean 'name'?")
    refused(tmp_path, "columns:\n  a: {factor: 0}\n  b: {factor: x}\n", "line 2", "line 3", "columns.b.factor")
    refused(tmp_path, "columns:\n  hbv: {levels: {yes: 1, no: 0}}\n", "line 2", "put them in quotes: 'yes'")
    refused(tmp_path, "columns:\n  ascites: {levels: {none: no}}\n", "line 2", "quotes")
    refused(tmp_path, "missing: [null]\n", "line 1", "quotes: 'null'")
    refused(tmp_path, "columns:\n  a: {unit: g/L, factor: 2}\n", "line 2", "give unit or factor, not both")
    refused(tmp_path, "columns:\n  alt: {name: ALT}\n  ast: {name: ＡＬＴ}\n", "alt and ast", "correct one")
    refused(tmp_path, "columns:\n  a: {name: x}\n  a: {name: y}\n", "line 3", "keep one")
