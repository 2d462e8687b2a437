"""study.yaml: what is valid, what each bad input says, and what the hash covers."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.errors import StudyError
from common.query import canonical_json
from common.study import Study

AS_PUBLISHED = """\
study: mvi-demo
outcome: {kind: binary, column: mvi}      # binary | multiclass | survival (then: time: os_days, event: os_event)
predictors:
  clinical: [age, afp]                    # columns of patients.csv
  radiomics: all                          # or names and patterns of features.csv; left out: none
harmonisation: {method: combat, batch: hospital, preserve: [age, sex], empirical_bayes: true}   # left out: none
model: {kind: logistic, penalty: ridge, strength: 1.0}   # penalty none | ridge (½λ‖β‖²) | lasso | elastic-net
validation: {folds: 5, leave_one_hospital_out: true}
privacy: {minimum_patients: 10, secure_sum: true}
seed: 7
"""
STUDY = "study: small\n"
OUTCOME = "outcome: {kind: binary, column: mvi}\n"
PREDICTORS = "predictors: {clinical: [age]}\n"
SMALL = STUDY + OUTCOME + PREDICTORS
SURVIVAL = STUDY + "outcome: {kind: survival, time: days, event: died}\n" + PREDICTORS


def read(folder: Path, text: str | bytes) -> Study:
    path = folder / "study.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Study.from_file(path)


def faults(folder: Path, text: str | bytes) -> list[str]:
    """What is said about a file, a fault each, without the path that every fault begins with."""
    with pytest.raises(StudyError) as caught:
        read(folder, text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(folder / "study.yaml")) for line in lines)
    return [line.removeprefix(str(folder / "study.yaml")) for line in lines]


def test_the_published_example_is_valid_and_means_what_it_says(tmp_path: Path) -> None:
    study = read(tmp_path, AS_PUBLISHED)
    assert study.outcome_columns() == ["mvi"]
    assert study.predictors.clinical == ["age", "afp"]
    assert study.predictors.radiomics == "all"
    assert study.harmonisation.method == "combat"
    assert study.harmonisation.preserve == ["age", "sex"]
    assert (study.model.kind, study.model.penalty, study.model.strength) == ("logistic", "ridge", 1.0)
    assert (study.validation.folds, study.validation.leave_one_hospital_out) == (5, True)
    assert (study.privacy.minimum_patients, study.privacy.secure_sum, study.seed) == (10, True, 7)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path, line_end: str) -> None:
    text = "\ufeff" + AS_PUBLISHED.replace("\n", line_end)
    assert read(tmp_path, text).hash == read(tmp_path, AS_PUBLISHED).hash


def test_survival_and_multiclass_outcomes_are_valid(tmp_path: Path) -> None:
    survival = read(tmp_path, SURVIVAL + "model: {kind: cox}\n")
    assert survival.outcome_columns() == ["days", "died"]
    assert survival.variable("died").type == "binary"
    levels = "variables: {stage: {type: category, levels: [A, B, C]}}\nmodel: {kind: multinomial}\n"
    multiclass = read(tmp_path, STUDY + "outcome: {kind: multiclass, column: stage}\n" + PREDICTORS + levels)
    assert multiclass.variable("stage").levels == ["A", "B", "C"]


def test_patterns_choose_features_in_the_order_of_the_file() -> None:
    content = yaml.safe_load(SMALL) | {"predictors": {"radiomics": ["ring_*", "tumour_size"]}}
    predictors = Study.from_content(content, "study").predictors
    assert predictors.matching(["tumour_size", "tumour_mean", "ring_b", "ring_a"]) == [
        "tumour_size",
        "ring_b",
        "ring_a",
    ]
    assert predictors.named() == ["tumour_size"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL + "modle: {kind: logistic}\n", ", line 4: modle: unknown field; did you mean 'model'?"),
        (
            SMALL + "privacy:\n  secure_sum: true\n  zzz: 1\n",
            ", line 6: privacy.zzz: unknown field; known fields here: differential, minimum_patients, secure_sum",
        ),
        (
            SMALL + "variables: {age: {typ: number}}\n",
            ", line 4: variables.age.typ: unknown field; did you mean 'type'?",
        ),
        (SMALL + "seed: 1\nmodel: {}\nseed: 2\n", ", line 6: 'seed' stands on line 4 already; keep one"),
        (
            STUDY + OUTCOME + "predictors: {clinical: [age, mvi]}\n",
            ", line 3: predictors.clinical: mvi is the outcome: take it out",
        ),
        (
            SMALL + "harmonisation:\n  method: combat\n  preserve: [sex, mvi]\n",
            ", line 6: harmonisation.preserve: mvi is the outcome, it would leak: take it out",
        ),
        (
            SMALL + "harmonisation: {method: combat, batch: [mvi]}\n",
            ", line 4: harmonisation.batch: mvi is the outcome: write hospital",
        ),
        (
            STUDY + OUTCOME + "predictors: {clinical: [age, age]}\n",
            ", line 3: predictors.clinical: age stands here twice: keep one",
        ),
        (
            STUDY + OUTCOME + "predictors: {clinical: ['age:missing']}\n",
            ", line 3: predictors.clinical: age:missing: '=' and ':missing' belong to derived columns: "
            "rename it (columns.yaml)",
        ),
        (
            STUDY + OUTCOME + "predictors: {clinical: [], radiomics: []}\n",
            ", line 3: predictors: no column is named: give clinical, radiomics or both",
        ),
        (
            STUDY + PREDICTORS + "outcome: {kind: surv, column: mvi}\n",
            ", line 3: outcome: kind 'surv' is unknown; write one of 'binary', 'multiclass', 'survival', 'horizon'",
        ),
        (
            STUDY + PREDICTORS + "outcome: {column: mvi}\n",
            ", line 3: outcome: say which kind it is: kind: binary, multiclass or survival",
        ),
        (
            STUDY + PREDICTORS + "outcome: mvi\n",
            ", line 3: outcome: found 'mvi'; this is a section: write 'field: value' lines below it",
        ),
        (
            SMALL + "model: {kind: cox}\n",
            ", line 4: model.kind: cox does not fit a binary outcome: write logistic",
        ),
        (SURVIVAL, ", line 1: model.kind: logistic does not fit a survival outcome: write cox"),
        (
            SURVIVAL.replace("died", "days") + "model: {kind: cox}\n",
            ", line 2: outcome.event: days is the time already: name the column of events",
        ),
        (
            SMALL + "variables: {mvi: {type: number}}\n",
            ", line 4: variables.mvi.type: found number; this outcome needs binary",
        ),
        (
            STUDY + "outcome: {kind: multiclass, column: stage}\n" + PREDICTORS + "model: {kind: multinomial}\n",
            ", line 1: variables.stage: a multiclass outcome needs type: category and its levels",
        ),
        (
            SMALL
            + "variables: {bclc: {type: category, levels: [A, B]}}\n"
            + "cohort: {include: [{column: bclc, at_most: 2}]}\n",
            ", line 5: cohort.include.0: a category has no at_least or at_most: write one_of",
        ),
        (
            SMALL + "cohort: {include: [{column: age}]}\n",
            ", line 4: cohort.include.0: a criterion needs at_least, at_most, one_of or known",
        ),
        (
            SMALL + "cohort:\n  include:\n    - {column: age, at_least: 80, at_most: 20}\n",
            ", line 6: cohort.include.0: nobody can be at least 80 and at most 20: put the lower at at_least",
        ),
        (
            SMALL
            + "variables: {bclc: {type: category, levels: [A, B]}}\n"
            + "cohort: {include: [{column: bclc, one_of: [A, D, E]}]}\n",
            ", line 5: cohort.include.0.one_of: D, E: no value of bclc; write one of A, B",
        ),
        (
            SMALL
            + "variables: {age: {type: integer}}\ncohort: {include: [{column: age, one_of: [old, 61.5, 60]}]}\n",
            ", line 5: cohort.include.0.one_of: old, 61.5: no value of age; its type is integer: write such numbers",
        ),
        (
            SMALL
            + "variables: {hbv: {type: binary, levels: [neg, pos]}}\ncohort: {include: [{column: hbv, one_of: [2]}]}\n",
            ", line 5: cohort.include.0.one_of: 2: no value of hbv; write one of neg, pos, 0, 1",
        ),
        (
            SMALL + "cohort: {include: [{column: age, one_of: []}]}\n",
            ", line 4: cohort.include.0: one_of names no level, so nobody can meet it: "
            "name the levels, or take it out",
        ),
        (
            SMALL + "cohort:\n  include:\n    - {column: age, at_least: 60}\n    - {column: age, at_most: 50}\n",
            ", line 7: cohort.include.1: nobody can meet 'age at most 50' with 'at least 60' above: "
            "correct the criteria",
        ),
        (
            SMALL + "variables: {age: {range: [18, 70]}}\ncohort: {include: [{column: age, at_least: 80}]}\n",
            ", line 5: cohort.include.0: nobody can meet 'age at least 80' with its range, 18 to 70: "
            "correct the criteria",
        ),
        (
            SMALL + "cohort: {include: [{column: mvi, at_least: 2}]}\n",
            ", line 4: cohort.include.0: nobody can meet 'mvi at least 2' with its values 0 and 1: "
            "correct the criteria",
        ),
        (
            SURVIVAL + "model: {kind: cox}\nvariables: {days: {type: binary}}\n",
            ", line 5: variables.days.type: a time is a number: write number or integer",
        ),
        (
            SMALL + "model: {strength: strong}\n",
            ", line 4: model.strength: found 'strong'; write a number, e.g. 1.0 or write 'cross-validated'",
        ),
        (
            SMALL + "model: {strength: '1,0'}\n",
            ", line 4: model.strength: found '1,0'; write a decimal point: 1.0 or write 'cross-validated'",
        ),
        (
            SMALL + "model: {kind: logistic, strength: 1,0}\n",
            ", line 4: model.0: found the field 0; a comma parts fields here: write numbers with a point, "
            "e.g. 1.0, not 1,0",
        ),
        (
            SMALL + "variables: {afp: {range: [9, 1]}}\n",
            ", line 4: variables.afp: the range starts at 9 and ends at 1: put the lower first",
        ),
        (
            SMALL + "variables: {afp: {range: [0, .inf]}}\n",
            ", line 4: variables.afp.range.1: found inf; input should be a finite number",
        ),
        (
            SMALL + "validation: {folds: 1}\n",
            ", line 4: validation.folds: one fold leaves nothing to train on: 0 for none, or 2 and more",
        ),
        (
            SMALL + "model:\n",
            ", line 4: model: there is nothing after the colon; write a value, or take the line out",
        ),
        (
            "study: my study\n" + OUTCOME + PREDICTORS,
            ", line 1: study: found 'my study'; "
            "write letters, digits, - _ . only, a letter or digit first, at most 63 of them",
        ),
        (
            "study: 2024-01-01\n" + OUTCOME + PREDICTORS,
            ", line 1: study: YAML reads 2024-01-01 as a date; put it in quotes",
        ),
        (
            "study: 2024-13-45\n" + OUTCOME + PREDICTORS,
            ": month must be in 1..12; a value that looks like a date needs quotes",
        ),
        (
            "study: yes\n" + OUTCOME + PREDICTORS,
            ", line 1: study: YAML reads yes, no, on, off, true and false as switches; "
            "put the text in quotes, e.g. 'yes'",
        ),
        (
            "study: {{name}}\n" + OUTCOME + PREDICTORS,
            ", line 1: found unhashable key; check indentation, colons and brackets there",
        ),
        (
            SMALL + "title: a: b\n",
            ", line 4: mapping values are not allowed here; check indentation, colons and brackets there",
        ),
        (SMALL + "variables: &all {age: *all}\n", ", line 4: '*all' repeats another place; write the value out"),
        (
            SMALL + "variables: {1: {unit: a}, age: {unit: a}}\n",
            ": a name or value is no plain text; put it in quotes, e.g. '1'",
        ),
        ("- a\n", ", line 1: this is no study and no settings file; write 'field: value' lines"),
        ("", ": the file is empty; write a field, or delete the file"),
        ("# only a comment\n", ": the file is empty; write a field, or delete the file"),
        (SMALL.encode() + b"title: \xff\xfe\n", ": this is not UTF-8 text; save it as UTF-8"),
        (SMALL + "title: \x00\n", ", line 4: a character that no text holds (0x0); delete it"),
    ],
)
def test_a_bad_study_is_refused_with_place_and_cure(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert faults(tmp_path, text) == [said]


def test_criteria_that_somebody_can_meet_are_valid() -> None:
    variables = {
        "age": {"type": "integer", "range": [18, 100]},
        "hbv": {"type": "binary", "levels": ["neg", "pos"]},
        "stage": {"type": "category", "levels": ["Ⅰ", "Ⅱ"]},
    }
    include = [
        {"column": "age", "at_least": 80, "at_most": 80},
        {"column": "age", "one_of": [60, "80.0"]},
        {"column": "hbv", "one_of": ["pos", 0], "at_least": 1},
        {"column": "hbv", "one_of": [1]},
        {"column": "stage", "one_of": ["I", "Ⅱ"]},  # as hospitals read it: a Roman numeral is its letters
        {"column": "stage", "one_of": ["Ⅱ"], "known": True},
    ]
    content = yaml.safe_load(SMALL) | {"variables": variables, "cohort": {"include": include}}
    assert len(Study.from_content(content, "study").cohort.include) == 6


def test_several_faults_are_said_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "study: small\noutcome: {kind: binary, colum: mvi}\npredictors:\n  clinical: age\nseed: -1\nfolds: 3\n"
    assert faults(tmp_path, text) == [
        ", line 2: outcome.column: this field is missing; add it",
        ", line 2: outcome.colum: unknown field; did you mean 'column'?",
        ", line 4: predictors.clinical: found 'age'; write a list, e.g. [a, b]",
        ", line 5: seed: found -1; input should be greater than or equal to 0",
        ", line 6: folds: unknown field; known fields here: cohort, compare, description, evaluation, features, "
        "harmonisation, imputation, lost_hospital, model, network, outcome, patches, predictors, privacy, seed, "
        "selection, study, subgroups, title, validation, variables",
    ]


def test_several_fields_that_do_not_fit_each_other_are_said_at_once(tmp_path: Path) -> None:
    text = (
        STUDY + OUTCOME + "predictors: {clinical: [mvi]}\nharmonisation: {preserve: [mvi]}\nmodel: {kind: cox}\n"
    )
    assert [said.split(":")[0] for said in faults(tmp_path, text)] == [", line 3", ", line 4", ", line 5"]


@pytest.mark.parametrize(("name", "said"), [("absent.yaml", "there is no such file"), (".", "this is a folder")])
def test_a_path_that_is_no_file_is_said(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        Study.from_file(tmp_path / name)


def test_comments_order_and_layout_do_not_change_the_hash(tmp_path: Path) -> None:
    content = yaml.safe_load(AS_PUBLISHED)
    as_blocks = yaml.safe_dump(dict(reversed(content.items())), sort_keys=False, default_flow_style=False)
    assert read(tmp_path, as_blocks).hash == read(tmp_path, AS_PUBLISHED).hash
    assert read(tmp_path, "# a remark\n\n" + json.dumps(content)).hash == read(tmp_path, AS_PUBLISHED).hash


@pytest.mark.parametrize(
    "change",
    [
        {"study": "mvi-demo-2"},
        {"title": "A title"},
        {"outcome": {"kind": "binary", "column": "recurrence"}},
        {"predictors": {"clinical": ["afp", "age"], "radiomics": "all"}},
        {"predictors": {"clinical": ["age", "afp"]}},
        {"model": {"kind": "logistic", "penalty": "ridge", "strength": 1.0000000000000002}},
        {"validation": {"folds": 5, "leave_one_hospital_out": False}},
        {"seed": 8},
    ],
)
def test_any_value_changes_the_hash(change: dict[str, Any]) -> None:
    content = yaml.safe_load(AS_PUBLISHED)
    assert Study.from_content(content | change, "x").hash != Study.from_content(content, "x").hash


def test_what_is_approved_is_what_was_written_and_a_hospital_finds_the_same_hash(tmp_path: Path) -> None:
    study = read(tmp_path, AS_PUBLISHED)
    assert study.to_json() == canonical_json(yaml.safe_load(AS_PUBLISHED))
    assert Study.from_content(json.loads(study.to_json()), "received").hash == study.hash


def test_a_default_that_a_later_version_adds_does_not_change_the_hash(tmp_path: Path) -> None:
    class LaterStudy(Study):
        added_later: int = 3

    later = LaterStudy.model_validate(yaml.safe_load(AS_PUBLISHED))
    assert later.added_later == 3
    assert later.hash == read(tmp_path, AS_PUBLISHED).hash


def test_a_study_does_not_change_with_the_content_it_was_made_from() -> None:
    content = yaml.safe_load(AS_PUBLISHED)
    study = Study.from_content(content, "x")
    before = study.hash
    content["seed"] = 99
    assert study.hash == before
