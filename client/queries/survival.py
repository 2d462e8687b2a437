"""Order of held-out scores and survival times: mirrored by server/evaluation/survival.py."""

from typing import Any

import numpy as np
from pydantic import model_validator
from scipy.special import expit

from client.clear_figures import centred, may_be_judged_in_clear
from client.concordance import Concordance, concordance
from client.queries.follow_up import Months
from client.queries.quantiles import few_and_ascending
from client.queries.registry import Parameters, Schemes, bounded_array, query
from client.rows import Rows
from common.concordance import pairs_in_table
from common.months import SMALLEST_FOLLOWED, cell_of, in_days, on_grid
from common.query import SMALLEST_CLASS_FOR_OWN_AUC, Answer, Disclosed


class Censoring(Parameters):
    """The curve of being followed, at month 0 and at the months of its grid; it falls from 1, never too low."""

    grid: Months
    followed: bounded_array(1, SMALLEST_FOLLOWED, 1.0)  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _falls(self) -> "Censoring":
        if self.followed.shape != (1 + len(self.grid),) or self.followed[0] != 1.0:
            raise ValueError("the curve of being followed starts at 1 and has a value a month of its grid")
        if (np.diff(self.followed) > 0).any():
            raise ValueError("the curve of being followed rises")
        return self

    def weights(self, rows: Rows, time: np.ndarray, until: float) -> np.ndarray:
        """1 over the probability of being followed as long as each patient counts; refused on few patients."""
        weights = 1.0 / on_grid(np.minimum(time, until), self.grid, self.followed)
        rows.refuse_weights_on_few_patients(weights)
        return weights


class SurvivalOrder(Censoring):
    """Edges of the score's bins (of 1/(1 + e^−η)) for a table by months and for each horizon."""

    schemes: Schemes
    months: Months
    edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]
    horizons: Months
    horizon_edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _few(self) -> "SurvivalOrder":
        for edges in (few_and_ascending(self.edges), few_and_ascending(self.horizon_edges)):
            if len(edges) != len(self.schemes):
                raise ValueError(f"found edges for {len(edges)} schemes, expected {len(self.schemes)}")
        return self


@query(
    "survival_order",
    SurvivalOrder,
    leaves="In clear: this hospital's own C, three decimals, with ten and more of each kind. As sums: patients with "
    "and without the event in a coarse table of time by score and, at a few horizons, in bins of the score; the "
    "hospital's part of the within-hospital C.",
)
def survival_order(rows: Rows, asked: SurvivalOrder) -> Answer:
    """Per label: the table, the pairs within this hospital, and histograms at the horizons."""
    counts: dict[str, list[Any]] = {name: [] for name in _SUMS}
    own: dict[str, tuple[float, float]] = {}
    last = float(in_days(asked.horizons)[-1])
    for k, scheme in enumerate(asked.schemes):
        score, outcome = rows.scores(scheme)
        time, event = outcome[:, 0], outcome[:, 1]
        bins = np.searchsorted(asked.edges[k], squeezed(score), side="left")
        weight = np.where((time <= last) & (event == 1), asked.weights(rows, time, last) ** 2, 0.0)
        shape = (len(asked.months) + 1, asked.edges.shape[1] + 1)
        one, cells = np.ones(len(time)), cell_of(time, asked.months)
        events, weighted, everybody = (
            _table(cells, bins, shape, weights) for weights in ((event == 1).astype(float), weight, one)
        )
        plain, uno = (concordance(time, event, score, w, cells, bins) for w in (one, weight))
        figures = {
            "events": events,
            "weighted": weighted,
            "exits": everybody,
            "pairs": pairs_in_table(events, everybody, everybody - events),
            "weighted_pairs": pairs_in_table(weighted, everybody, everybody - events),
            "within": np.array([plain.won, plain.pairs, plain.spread, *plain.undecided]),
            "weighted_within": np.array([uno.won, uno.pairs, uno.spread, *uno.undecided]),
        }
        figures |= _at_horizons(rows, asked, score, time, event, asked.horizon_edges[k])
        for name, figure in figures.items():
            counts[name].append(figure)
        if (shown := _own(plain, event, score)) is not None:
            own[scheme] = shown
    return Answer(sums={name: np.array(c) for name, c in counts.items()}, disclosed=Disclosed(auc=own))


_SUMS = (
    *("events", "weighted", "exits", "pairs", "weighted_pairs", "within", "weighted_within"),
    *("cases", "case_squares", "controls", "case_counts", "horizon_within"),
)


def _at_horizons(
    rows: Rows, asked: SurvivalOrder, score: np.ndarray, time: np.ndarray, event: np.ndarray, edges: np.ndarray
) -> dict[str, np.ndarray]:
    """At every horizon: weighted cases (event by then) and controls (followed beyond) by bin, and their pairs here.

    Of the pairs: won; all; won by the bins alone; of one bin; won among these.
    """
    width = len(edges) + 1
    bins = np.searchsorted(edges, squeezed(score), side="left")
    horizons = in_days(asked.horizons)
    found = {
        name: np.zeros((len(horizons), width)) for name in ("cases", "case_squares", "controls", "case_counts")
    }
    within = np.zeros((len(horizons), 5))
    for h, until in enumerate(horizons):
        weights = asked.weights(rows, time, float(until))
        case, control = (time <= until) & (event == 1), time > until
        found["cases"][h] = np.bincount(bins[case], weights[case], minlength=width)
        found["case_squares"][h] = np.bincount(bins[case], weights[case] ** 2, minlength=width)
        found["case_counts"][h] = np.bincount(bins[case], minlength=width)
        found["controls"][h] = np.bincount(bins[control], minlength=width)
        against = np.sort(score[control])
        below = np.searchsorted(against, score[case], side="left")
        at_most = np.searchsorted(against, score[case], side="right")
        cases, controls = found["cases"][h], found["controls"][h]
        lower = np.cumsum(controls) - controls
        won, sure = float(weights[case] @ (below + at_most)) / 2, float(cases @ lower)
        within[h] = [
            won,
            float(weights[case].sum()) * int(control.sum()),
            sure,
            float(cases @ controls),
            won - sure,
        ]
    return found | {"horizon_within": within}


def _table(cells: np.ndarray, bins: np.ndarray, shape: tuple[int, int], weights: np.ndarray) -> np.ndarray:
    flat = np.bincount(cells * shape[1] + bins, weights, minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.float64)  # of nobody it counts in integers


def _own(plain: Concordance, event: np.ndarray, score: np.ndarray) -> tuple[float, float] | None:
    """This hospital's own C and its standard error, with ten patients and more of each kind."""
    if not may_be_judged_in_clear(centred(score)):
        return None
    events = int((event == 1).sum())
    if min(events, len(event) - events) < SMALLEST_CLASS_FOR_OWN_AUC or not plain.pairs:
        return None
    return round(plain.value, 3), round(float(np.sqrt(plain.spread)) / plain.pairs, 3)


def squeezed(score: np.ndarray) -> np.ndarray:
    """Any score between 0 and 1, in the same order: as it was counted, to the last bit (client/predictions.py)."""
    between: np.ndarray = expit(score)
    return between
