"""Crafted harmonisation and transforms are refused for the reason that the attack works by."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.app import Whereabouts
from common.errors import Code
from common.study import Study
from tests.client.crafted_views import (
    COLUMNS,
    IMPUTED,
    LEVELS,
    SIGNED_LOG,
    YEO_JOHNSON,
    F,
    chain_of,
    combat,
    harmonising,
    hospital_of,
    moments,
    patients_with_gaps,
    refused,
)
from tests.client.test_app import ask, call_roll, log_of


@pytest.fixture
def hospital(tmp_path: Path) -> Whereabouts:
    return hospital_of(tmp_path, patients_with_gaps())


@pytest.mark.parametrize(
    ("chosen", "change", "why"),
    [
        (harmonising(), {"covariates": []}, ""),
        (harmonising(), {"covariates": [0, 1]}, "those that the study preserves"),
        (harmonising(), {"smooth": {"0": {"knots": [40.0, 80.0], "penalty": 1.0}}}, "not the study's"),
        (harmonising(), {"settings": {"a": 1}}, "settings are not the study's"),
        (harmonising(), {"reference": ["north"]}, "reference is not the study's"),
        (harmonising(), {"features": [0, 1, 2]}, "features only"),
        (harmonising(), {"features": [1, 1, 2]}, "each once"),
        (harmonising(), {"groups": [0, 0, 0.5]}, "whole numbers"),
        (harmonising(), {"variance": np.array([1.0, 0.0, 1.0])}, "above 0"),
        (harmonising(), {"variance": np.array([1.0, -1.0, 1.0])}, "above 0"),
        (harmonising(), {"constant": np.array([0.5, 0.0, 1.0])}, "constant is 0 or 1"),
        (harmonising(), {"grand_mean": np.full(3, 1e14)}, "out of all proportion"),
        (harmonising(), {"coefficients": np.full((1, 3), 1e13)}, "out of all proportion"),
        (harmonising(), {"step": "levels", **LEVELS}, "harmonisation of this study is combat"),
        (harmonising(method="covbat"), {}, "harmonisation of this study is covbat"),
        (harmonising(batch=["kernel"]), {"step": "levels", **LEVELS, "variable": "mvi"}, "expected the variables"),
        (harmonising(batch=["kernel"]), {"step": "levels", **LEVELS, "delta": np.full((2, 3), 1e-9)}, "factors"),
        (harmonising(batch=["kernel"]), {"step": "levels", **LEVELS, "gamma": np.full((2, 3), 1e9)}, "shifts"),
    ],
)
def test_harmonisation_is_the_studys(
    hospital: Whereabouts, chosen: Study, change: dict[str, Any], why: str
) -> None:
    if not why:  # a rare covariate may be left out
        change, why = change | {"covariates": [0, 0]}, "each once"
    refused(hospital, moments(hospital, chosen, chain_of(COLUMNS, [IMPUTED, combat(**change)]), 4), why)


def transform(
    kind: str, location: float, scale: float, power: float
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    arrays = {"location": np.full(3, location), "scale": np.full(3, scale), "powers": np.full(3, power)}
    return "transform", {"kind": kind, "features": [1, 2, 3]}, arrays


@pytest.mark.parametrize(
    ("chosen", "step", "why"),
    [
        (YEO_JOHNSON, transform("yeo-johnson", 5.0, 1.0, 300.0), "between 0 and 2"),
        (YEO_JOHNSON, transform("yeo-johnson", 6.0, 1e-3, 1.0), "far below this hospital's distance"),
        (YEO_JOHNSON, transform("yeo-johnson", 1e12, 1e12, 1.0), "out of all proportion"),
        (YEO_JOHNSON, transform("yeo-johnson", 5.0, 0.0, 1.0), "above 0"),
        (YEO_JOHNSON, transform("signed-log", 0.0, 1.0, 1.0), "kind is not the study's"),
        (SIGNED_LOG, transform("signed-log", 0.0, 1e-12, 1.0), "far below this hospital's values"),
        (SIGNED_LOG, transform("signed-log", 0.0, 3.0, 1.0), "a power of ten"),
        (SIGNED_LOG, transform("signed-log", 5.0, 1.0, 1.0), "no location"),
    ],
)
def test_no_transform_is_a_step_function(hospital: Whereabouts, chosen: Study, step: Any, why: str) -> None:
    refused(hospital, moments(hospital, chosen, chain_of(COLUMNS, [IMPUTED, step]), 4), why)


def test_honest_transforms_are_answered(hospital: Whereabouts) -> None:
    for chosen, step in (
        (YEO_JOHNSON, transform("yeo-johnson", 5.0, 1.0, 1.2)),
        (harmonising(transform="yeo-johnson", preserve=["size"]), transform("yeo-johnson", 500.0, 450.0, 0.0)),
        (SIGNED_LOG, transform("signed-log", 0.0, 10.0, 1.0)),
    ):
        assert moments(hospital, chosen, chain_of(COLUMNS, [IMPUTED, step]), 4).sums


@pytest.mark.parametrize(
    ("scale", "location", "grid", "why"),
    [
        (1e-300, 5.0, 1.0, "far below this hospital's distance"),
        (1e-3, 5.0, 1.0, "far below this hospital's distance"),
        (1.0, 5.0, 5.0, "allowed are"),
    ],
)
def test_the_powers_question_is_no_step_function(
    hospital: Whereabouts, scale: float, location: float, grid: float, why: str
) -> None:
    call_roll(hospital, YEO_JOHNSON)
    views = chain_of(COLUMNS, [IMPUTED])
    arrays = {
        "grid": np.full((1, 1, 1), grid),
        "location": np.full((1, 1), location),
        "scale": np.full((1, 1), scale),
    }
    asked: dict[str, Any] = {"view": views[-1].hash, "splits": F, "parameters": {"features": [1]}}
    assert ask(
        hospital,
        YEO_JOHNSON,
        "yeo_johnson",
        tuple(views),
        **asked,
        arrays=arrays | {"scale": np.ones((1, 1)), "grid": np.ones((1, 1, 1))},
    ).sums
    answer = ask(hospital, YEO_JOHNSON, "yeo_johnson", tuple(views), **asked, arrays=arrays)
    assert answer.disclosed.code is Code.BAD_PARAMETERS
    assert why in log_of(hospital)
