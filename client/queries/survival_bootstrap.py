"""The hospitals drawn anew, for C: mirrored by server/evaluation/survival_bootstrap.py."""

import numpy as np
from pydantic import Field, field_validator, model_validator

from client.concordance import harrell
from client.queries.bootstrap import MOST_PATIENTS, draws_of
from client.queries.follow_up import Months
from client.queries.quantiles import few_and_ascending
from client.queries.registry import Parameters, Schemes, bounded_array, query
from client.queries.survival import squeezed
from client.rows import Rows
from common.concordance import part_in_table
from common.errors import Code, HospitalError
from common.months import cell_of
from common.query import Answer


class SurvivalBootstrap(Parameters):
    """What was found over all hospitals, so that each knows its own part in it.

    Parameters
    ----------
    groups
        For each label a number; labels of one group are repeats, whose parts are averaged.
    months, edges, events, exits
        The table of `survival_order`, and its totals: labels × cells of time × bins of the score.
    within
        Labels × (C within hospitals, the number of pairs behind it).
    """

    schemes: Schemes
    groups: tuple[int, ...]
    replicates: int = Field(ge=200, le=1000)
    months: Months
    edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]
    events: bounded_array(3, 0.0, MOST_PATIENTS)  # type: ignore[valid-type]
    exits: bounded_array(3, 0.0, MOST_PATIENTS)  # type: ignore[valid-type]
    within: bounded_array(2, 0.0, MOST_PATIENTS**2)  # type: ignore[valid-type]

    @field_validator("edges")
    @classmethod
    def _few(cls, edges: np.ndarray) -> np.ndarray:
        return few_and_ascending(edges)

    @model_validator(mode="after")
    def _aligned(self) -> "SurvivalBootstrap":
        labels, table = len(self.schemes), (len(self.months) + 1, self.edges.shape[1] + 1)
        shapes = len(self.groups), len(self.edges), self.events.shape, self.exits.shape, self.within.shape
        if shapes != (labels, labels, (labels, *table), (labels, *table), (labels, 2)):
            raise ValueError(f"{labels} labels, and shapes that do not fit them: {shapes}")
        if set(self.groups) != set(range(len(set(self.groups)))):
            raise ValueError(f"the groups {self.groups} are not numbered from 0")
        return self


@query(
    "survival_bootstrap",
    SurvivalBootstrap,
    leaves="Per evaluated model and draw: one number each for the overall and the within-hospital C, this hospital's "
    "part in the figure times a weight that it draws itself and tells nobody.",
)
def survival_bootstrap(rows: Rows, parameters: SurvivalBootstrap) -> Answer:
    """Σ over hospitals of (w − 1)·S: S is the hospital's part in a C, w ~ Exp(1) its secret weight in a draw.

    Overall S is that of the table (common/concordance.py); within S = (won − C·pairs)/Σpairs.
    """
    own = np.array([_parts(rows, parameters, k) for k in range(len(parameters.schemes))])
    return Answer(sums={"draws": draws_of(rows, own, parameters.groups, parameters.replicates, "survival/")})


def _parts(rows: Rows, parameters: SurvivalBootstrap, k: int) -> tuple[float, float]:
    """This hospital's part in the overall and in the within-hospital C of one label."""
    score, outcome = rows.scores(parameters.schemes[k])
    time, event = outcome[:, 0], outcome[:, 1]
    bins = np.searchsorted(parameters.edges[k], squeezed(score), side="left")
    cells = cell_of(time, parameters.months)
    own_events, own_exits = np.zeros(parameters.events[k].shape), np.zeros(parameters.exits[k].shape)
    np.add.at(own_events, (cells, bins), event == 1)
    np.add.at(own_exits, (cells, bins), 1.0)
    if (own_events > parameters.events[k]).any() or (own_exits > parameters.exits[k]).any():
        raise HospitalError(Code.BAD_PARAMETERS, "survival_bootstrap: totals below this hospital's own counts")
    found = harrell(time, event, score)
    value, pairs = parameters.within[k]
    within = (found.won - value * found.pairs) / max(pairs, 1.0)
    return part_in_table(parameters.events[k], parameters.exits[k], own_events, own_exits), within
