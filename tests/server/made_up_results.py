"""Results that no study found, and how a report of them reads."""

import re
from html.parser import HTMLParser
from typing import Any

from common.splits import LEAVE_ONE_HOSPITAL_OUT
from server.report.html import render

HOSPITALS = ("alpha", "beta", "gamma")
HOSTILE = "<b>Age</b><script>alert(1)</script>"


def estimate(value: float | None) -> dict[str, float | None]:
    if value is None:
        return {"value": None, "low": None, "high": None, "standard_error": None}
    return {"value": value, "low": value - 0.06, "high": value + 0.06, "standard_error": 0.03}


def scheme(auc: float, hospitals: tuple[str, ...]) -> dict[str, Any]:
    return {
        "transductive": False,
        "patients": 120,
        "events": 48,
        "repeats": 1,
        "overall": {
            "auc": estimate(auc) | {"certified_low": auc - 0.02, "certified_high": auc + 0.02, "bins": 9},
            "brier": 0.187,
            "calibration": {
                "intercept": {"value": -0.11, "low": -0.4, "high": 0.2},
                "slope": {"value": 0.93, "low": 0.6, "high": 1.2},
                "observed_to_expected": 1.04,
            },
        },
        "within_sites": {"auc": estimate(auc - 0.013)},
        "by_site": {h: {"auc": estimate(auc), "calibration": {"slope": 0.8, "intercept": 0.1}} for h in hospitals},
        "roc": [[0.0, 0.0], [0.2, 0.6], [1.0, 1.0]],
        "calibration_curve": [
            {"predicted": 0.2, "observed": 0.15, "patients": 60},
            {"predicted": 0.6, "observed": 0.65, "patients": 60},
        ],
    }


def made_up(hospitals: tuple[str, ...] = HOSPITALS, features: int = 1) -> dict[str, Any]:
    """What server/results/results_json.py would write about a small study."""
    columns = ["age", "afp", "bclc=B", *(f"tumour_original_glcm_F{k}" for k in range(features))]
    own = {name: 0.7 - 0.2 * k if k < 3 else 0.001 * k for k, name in enumerate(columns)}
    asked = [
        {"query": "moments", "class": "single hospital", "splits": 4, "sums": {"known": [4, 3]}},
        {"query": "moments", "class": "single hospital", "splits": 4, "sums": {"known": [4, 7]}},
        {"query": "discrimination", "class": "masked total", "splits": 0, "sums": {"histogram": [3, 2, 9]}},
    ]
    return {
        "format": 1,
        "study": {"name": "made-up", "title": "A made-up study", "hash": "ab" * 32, "content": study()},
        "seed": 11,
        "protection": {
            "secure_sums": False,
            "gate": False,
            "lower_profile": True,
            "statement": "Not yet protected: no masks.",
        },
        "sites": {h: site(None if k == 1 else 16) for k, h in enumerate(hospitals)},
        "left_out": {},
        "lost": [],
        "flow": {
            "read": 130,
            "met_criteria": 130,
            "outcome_known": {"at_least": 121, "at_most": 124},
            "in_range": 120,
            "with_features": 120,
            "in_cohort": 120,
        },
        "cohort": {
            "patients": 120,
            "events": 48,
            "variables": {
                "age": {"label": "Age", "known": 120, "quartiles": {"0.25": 48.2, "0.5": 57.1, "0.75": 66.3}},
                "afp": {"label": "AFP", "known": 117, "quartiles": {"0.25": 1.0, "0.5": 2.0, "0.75": 3.0}},
                "bclc=B": {"label": "BCLC stage B", "known": 120, "carriers": None},
            },
        },
        "pipeline": {
            "imputation": {"method": "mean", "indicator": False},
            "harmonisation": {"method": "none"},
            "columns": {
                name: {"known": 120, "fill": 1.5, "centre": 1.5, "spread": 0.5, "used": True} for name in columns
            },
        },
        "model": {
            "kind": "logistic",
            "penalty": "ridge",
            "strength": 1.0,
            "intercept": -1.25,
            "coefficients": {name: 2 * value for name, value in own.items()},
            "standardised": own,
            "standard_errors": None,
            "log_likelihood": -61.25,
            "rounds": 6,
            "by_split": {
                split: {"intercept": -1.2, "coefficients": {name: 2.2 * value for name, value in own.items()}}
                for split in ("final", "kfold/0/0")
            },
        },
        "models": {},
        "performance_by_class": {},
        "performance": {
            "apparent": scheme(0.87, hospitals),
            "kfold": scheme(0.81, hospitals),
            LEAVE_ONE_HOSPITAL_OUT: scheme(0.74, hospitals),
        },
        "exchanges": {
            "rounds": 4,
            "bytes_up_per_site": dict.fromkeys(hospitals, 12_345),
            "bytes_down_per_site": 2_000,
            "asked": [one | {"largest_answer_bytes": 990} for one in asked],
        },
        "notes": ["afp: unknown for every patient of beta; imputed there from the others"],
        "versions": {"hepafed": "0.1.0", "numpy": "1.26.4"},
        "transport": {"engine": "process", "seconds": 1.5, "messages": 12, "retries": 0},
    }


def site(events: int | None) -> dict[str, Any]:
    return {
        "patients": 40,
        "events": events,
        "missing": {"afp": 7},
        "scanners": ["Siemens SOMATOM Force"],
        "medians": {"age": 57.0, "afp": 110.0},
        "fingerprint": {"hepafed": "0.1.0", "study": "ab" * 32},
        "in_final_roster": True,
    }


def study() -> dict[str, Any]:
    return {
        "study": "made-up",
        "title": "A made-up study",
        "outcome": {"kind": "binary", "column": "mvi"},
        "predictors": {"clinical": ["age", "afp", "bclc"], "radiomics": "all"},
        "variables": {
            "age": {"unit": "a", "labels": {"en": "Age", "zh": "年龄"}},
            "afp": {"unit": "ng/mL", "transform": "log10", "labels": {"en": "AFP", "zh": "甲胎蛋白"}},
            "bclc": {"type": "category", "levels": ["A", "B"], "labels": {"en": "BCLC stage"}},
            "mvi": {"type": "binary", "labels": {"en": "Microvascular invasion", "zh": "微血管侵犯"}},
        },
    }


class Page(HTMLParser):
    """Text, tags and everything that a page would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("href", "src", "xlink:href", "action", "data")]
        self.ids += [v or "" for k, v in attrs if k == "id"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page(results: dict[str, Any]) -> Page:
    return Page(render(results))
