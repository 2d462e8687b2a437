"""`hepafed study`: what it writes is valid, what it says is true, and its schema and reference are current."""

import json
import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from common.strict_yaml import models_in
from common.study import Study
from deploy.schema import study_schema
from tests.command import Result, hepafed

DOCS = Path(__file__).parents[2] / "docs"


def hepafed_study(*arguments: str | Path) -> Result:
    return hepafed("study", *arguments, columns=100)


def spoken(result: Result) -> str:
    """The output as one line, whatever the width of the screen."""
    return " ".join(result.stdout.split())


def test_a_new_study_is_valid_and_can_be_run(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    assert hepafed_study("new", file).exit_code == 0
    assert hepafed_study("check", file).exit_code == 0
    study = Study.from_file(file)
    assert study.study == "my-study"


@pytest.mark.parametrize("name", ["mvi-2026", "007", "1e5", "2024-01-01", "yes", "null"])
def test_a_new_study_has_the_name_that_was_asked_for(tmp_path: Path, name: str) -> None:
    file = tmp_path / "study.yaml"
    assert hepafed_study("new", file, "--name", name).exit_code == 0
    assert Study.from_file(file).study == name


def test_every_section_of_a_study_is_explained_in_the_new_file(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    hepafed_study("new", file)
    text = file.read_text(encoding="utf-8")
    for section in Study.model_fields:
        assert re.search(rf"^(# )?{section}:", text, re.MULTILINE), section


def test_the_sections_that_are_commented_out_are_valid_too(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    hepafed_study("new", file)
    lines = file.read_text(encoding="utf-8").splitlines()
    switched_on = [
        re.sub(
            r"^(\s*)# (\s*(cohort|features|harmonisation|radiomics|child_pugh|os_days|lasso_share):)",
            r"\1\2",
            line,
        )
        for line in lines
    ]
    inside = ""
    for number, line in enumerate(switched_on):
        inside = line.rstrip(":") if re.fullmatch(r"[a-z]+:", line) else inside
        if inside in ("cohort", "features") and line.startswith("#   "):
            switched_on[number] = f" {line[1:]}"
    content = yaml.safe_load("\n".join(switched_on))
    assert {"cohort", "features", "harmonisation"} <= content.keys()
    study = Study.from_content(content, "study")
    assert len(study.cohort.include) == 3
    assert study.features is not None
    assert study.features.region_names() == ["tumour", "ring5mm"]


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("mine", encoding="utf-8")
    refused = hepafed_study("new", file)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert file.read_text(encoding="utf-8") == "mine"
    assert hepafed_study("new", file, "--overwrite").exit_code == 0
    assert Study.from_file(file).study == "my-study"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["no/such/study.yaml"], "folder that exists"), (["study.yaml", "--name", "a b"], "letters, digits")],
)
def test_what_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = hepafed_study("new", *arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def test_check_says_every_fault_on_stderr_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "[bold]study.yaml"
    file.write_text("study: a\noutcome: {kind: binary, colum: mvi}\nseed: -1\n", encoding="utf-8")
    result = hepafed_study("check", file)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 4
    assert all(line.startswith(str(file)) for line in result.stderr.splitlines())


def test_a_table_of_patients_in_the_place_of_a_study_is_not_printed(tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("id,age,mvi\n" + "".join(f"LC-{i:03},6{i % 10},1\n" for i in range(50)), encoding="utf-8")
    folder = tmp_path / "aspen"
    folder.mkdir()
    roster = tmp_path / "roster.yaml"
    roster.write_text("".join(f"h{i}: '{i:064x}'\n" for i in range(3)), encoding="utf-8")
    for words in (
        ("study", "check", table),
        ("site", "approve", table, folder, "--roster", roster),
        ("site", "approve", tmp_path / "study.yaml", folder, "--roster", table),
        ("site", "check", folder, "--study", table),
        ("study", "check", _with_a_table_inside(tmp_path, table)),
    ):
        hepafed_study("new", tmp_path / "study.yaml", "--overwrite")
        result = hepafed(*words)
        assert result.exit_code != 0
        assert "write" in result.output, result.output
        assert "LC-010" not in result.output


def _with_a_table_inside(folder: Path, table: Path) -> Path:
    file = folder / "inside.yaml"
    text = f"study: s\noutcome: {json.dumps(table.read_text(encoding='utf-8'))}\npredictors: {{clinical: [a]}}\n"
    file.write_text(text, encoding="utf-8")
    return file


def check(folder: Path, **changes: object) -> str:
    content = {
        "study": "s",
        "outcome": {"kind": "binary", "column": "mvi"},
        "predictors": {"clinical": ["age", "stage"]},
        "variables": {"stage": {"type": "category", "levels": ["A", "B", "C"]}},
        "validation": {"leave_one_hospital_out": False},
    }
    file = folder / "study.yaml"
    file.write_text(json.dumps(content | changes), encoding="utf-8")
    result = hepafed_study("check", file)
    assert result.exit_code == 0, result.stderr
    assert f"Hash: {Study.from_file(file).hash}" in result.stdout.splitlines()
    return spoken(result)


def test_check_says_which_class_the_sums_are_of(tmp_path: Path) -> None:
    within = check(tmp_path)
    assert "masked totals" in within
    assert "three hospitals or more" in within
    without = check(tmp_path, validation={"leave_one_hospital_out": True})
    assert "single hospital:" in without
    assert "single_hospital_sums: true" in without
    assert "four hospitals or more" in without
    reference = {"method": "combat", "reference": "alder"}
    assert "single hospital: the reference alder" in check(tmp_path, harmonisation=reference)
    assert "NOT MASKED" in check(tmp_path, privacy={"secure_sum": False})


def test_check_counts_the_patients_that_the_columns_ask_for(tmp_path: Path) -> None:
    # age, stage=B, stage=C; with indicators two more, with nine named features fourteen.
    assert "30 patients or more in every training set and every fold, for 3 columns" in check(tmp_path)
    predictors = {"clinical": ["age", "stage"], "radiomics": [f"f{i}" for i in range(9)]}
    many = check(tmp_path, predictors=predictors, imputation={"indicator": True})
    assert "45 patients or more in every training set and every fold, for 14 columns" in many
    assert "3 × (columns + 1)" in check(tmp_path, predictors={"radiomics": ["f*"]})


def test_check_names_every_further_model_and_what_it_looks_at(tmp_path: Path) -> None:
    assert "Further models" not in check(tmp_path)
    compare = {
        "old": {"clinical": ["age"]},
        "image": {"radiomics": "f*"},
        "both": {"stack": ["image", "old"]},
    }
    said = check(tmp_path, predictors={"clinical": ["age", "stage"], "radiomics": ["f*"]}, compare=compare)
    assert "Further models both (the scores of image, old) image (radiomics: f*) old (clinical: age)" in said


def test_check_says_when_nobody_is_held_out(tmp_path: Path) -> None:
    assert "too favourable" not in check(tmp_path)
    assert "too favourable" in check(tmp_path, validation={"folds": 0, "leave_one_hospital_out": False})


def test_check_speaks_of_survival_and_criteria(tmp_path: Path) -> None:
    said = check(
        tmp_path,
        outcome={"kind": "survival", "time": "days", "event": "died"},
        model={"kind": "cox"},
        cohort={"include": [{"column": "age", "at_least": 18, "known": True}]},
        variables={"days": {"time_zero": "date of surgery", "unit": "d"}, "age": {"labels": {"en": "[red]Age"}}},
    )
    assert "days (d): days from date of surgery" in said
    assert "age at least 18 and known" in said
    assert "age ([red]Age)" in said


def test_every_command_has_an_example_in_its_help() -> None:
    for command in ([], ["new"], ["check"], ["schema"]):
        assert "Example: hepafed study" in hepafed_study(*command, "--help").stdout


def test_the_published_schema_is_current() -> None:
    printed = hepafed_study("schema").stdout
    assert printed == study_schema()
    assert (DOCS / "study.schema.json").read_text(encoding="utf-8") == printed, (
        "run: hepafed study schema > docs/study.schema.json"
    )


def keys_of(model: type[BaseModel]) -> set[str]:
    keys = set(model.model_fields)
    for field in model.model_fields.values():
        for nested in models_in(field.annotation):
            keys |= keys_of(nested)
    return keys


def test_the_reference_names_every_key_and_its_example_is_valid() -> None:
    text = (DOCS / "study.md").read_text(encoding="utf-8")
    both = text + (DOCS / "networks.md").read_text(encoding="utf-8")  # the section network has a page of its own
    missing = {key for key in keys_of(Study) if not re.search(rf"[`#{{, ]{key}\b", both)}
    assert not missing
    example = re.findall(r"```yaml\n(study:.*?)```", text, re.DOTALL)
    assert len(example) == 1
    assert Study.from_content(yaml.safe_load(example[0]), "docs/study.md").study
