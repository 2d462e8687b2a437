"""A path of penalties over hospitals is the pooled fit at every λ, and costs few exchanges and coefficient vectors."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from server.methods.family import Problem
from server.methods.path import grid, path, without_slopes
from server.methods.problems import fit_problems, penalties
from tests.hospitals_on_disk import breast_cancer
from tests.server.tables import Tables, tables
from tests.server.test_cox import survival

STRENGTHS = 12


def in_hospitals(kind: str, **model: Any) -> tuple[Tables, str, int, pd.DataFrame, list[str]]:
    """Breast cancer, or gbsg2 with columns of noise beside its own."""
    if kind == "cox":
        table, columns = survival("gbsg2")
        noise = np.random.default_rng(4).normal(size=(len(table), 12))
        for j in range(12):
            table[f"noise_{j}"] = noise[:, j]
        columns = [*columns, *(f"noise_{j}" for j in range(12))]
        observed, outcome = ["days", "event"], {"kind": "survival", "time": "days", "event": "event"}
    else:
        table = breast_cancer()
        columns = [c for c in table.columns if c not in ("id", "hospital", "mvi")]
        observed, outcome = ["mvi"], {"kind": "binary", "column": "mvi"}
    validation = {"folds": 3, "leave_one_hospital_out": False}
    federation, view = tables(
        table, observed, columns, outcome=outcome, model={"kind": kind} | model, validation=validation
    )
    return federation, view, len(columns), table, columns


@pytest.mark.parametrize(
    ("kind", "model", "smallest"),
    [
        ("logistic", {"penalty": "lasso"}, 0.01),
        ("logistic", {"penalty": "elastic-net", "lasso_share": 0.3}, 0.01),
        ("logistic", {"penalty": "ridge"}, 0.0001),
        ("cox", {"penalty": "lasso"}, 0.02),
    ],
)
def test_every_strength_of_a_path_is_the_fit_by_itself(kind: str, model: dict[str, Any], smallest: float) -> None:
    federation, view, width, _, _ = in_hospitals(kind, **model)
    problems = [Problem(split, tuple(range(width))) for split in federation.splits]
    null = without_slopes(federation, federation.study, view, problems)
    strengths = grid(null.largest, STRENGTHS, smallest)
    before = len(federation.asked)
    found = path(federation, federation.study, view, problems, strengths, width, null)
    vectors = sum(len(q.parameters["of"]) for q in federation.asked[before:]) / len(problems)
    hessians = sum(len(q.parameters.get("curved", ())) for q in federation.asked) / len(problems)
    assert found.converged.all()
    assert found.rounds <= 18, "all strengths and folds share their exchanges"
    assert vectors <= 8 * STRENGTHS, "a third of the patients is the most that hospitals answer"
    assert hessians <= 20, "no more than two or three fits ask for"
    for number in range(STRENGTHS):
        l1, l2 = penalties(federation.study, strengths[:, number])
        alone = fit_problems(federation, federation.study, view, problems, l1, l2, width)
        assert alone.converged.all()
        assert np.abs(found.beta[:, number] - alone.beta).max() < 1e-6, number
