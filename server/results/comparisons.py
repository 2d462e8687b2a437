"""Models compared with one another, as results.json says it (docs/results.md describes every key)."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple, TypeVar

import numpy as np

from common.splits import Label
from server.evaluation.comparison import Comparison, LikelihoodRatio, Pair, Tested
from server.evaluation.repeats import kind_of, mean_of
from server.evaluation.use import Use

Found = TypeVar("Found")


class TwoModels(NamedTuple):
    """Two models by the same scheme, for one class where there are several."""

    scheme: str
    level: str
    first: str
    second: str


def repeats_by_models(compared: Mapping[Pair, Found]) -> dict[TwoModels, list[Found]]:
    """What was found about every two models, the repeats of a k-fold together."""
    repeats: dict[TwoModels, list[Found]] = {}
    for (first, second), found in compared.items():
        a, b = Label.read(first), Label.read(second)
        repeats.setdefault(TwoModels(kind_of(a.scheme), a.level, a.model, b.model), []).append(found)
    return repeats


def comparisons_of(use: Use) -> list[dict[str, Any]]:
    """One entry for every two models by the same scheme and class; repeats are averaged."""
    return [
        {"scheme": both.scheme, "class": both.level or None, "first": both.first, "second": both.second}
        | _compared(repeats)
        | {"likelihood_ratio": ratio_of(use, both.first, both.second)}
        for both, repeats in repeats_by_models(use.compared).items()
    ]


def _compared(repeats: list[Comparison]) -> dict[str, Any]:
    return {
        "within_sites": tested_of([c.within_sites for c in repeats]),
        "overall": tested_of([c.overall for c in repeats])
        | {
            "certified_low": float(np.mean([c.certified[0] for c in repeats])),
            "certified_high": float(np.mean([c.certified[1] for c in repeats])),
        },
        "discrimination_improvement": tested_of([c.discrimination_improvement for c in repeats]),
        "net_reclassification": tested_of([c.net_reclassification for c in repeats]),
    }


def ratio_of(use: Use, first: str, second: str) -> dict[str, Any] | None:
    """The test of the smaller of two models against the larger, where one has all columns of the other."""
    for pair in ((first, second), (second, first)):
        ratio: LikelihoodRatio | None = use.likelihood_ratios.get(pair)
        if ratio is not None:
            return {"smaller": pair[0], **asdict(ratio)}
    return None


def tested_of(repeats: list[Tested]) -> dict[str, Any]:
    """Means over repeats, and the median of the p-values."""
    known = [t.p_value for t in repeats if t.p_value is not None]
    p_value = float(np.median(known)) if len(known) == len(repeats) else None
    return mean_of([t.difference for t in repeats]) | {"p_value": p_value}
