"""Where a network on images looks, and what its columns weigh: mirrored by server/evaluation/attention.py."""

import numpy as np

from client.queries.registry import Parameters, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import SMALLEST_CELL, Answer


class Attention(Parameters):
    """Nothing: the view is the network's."""


@query(
    "attention",
    Attention,
    leaves="Over patients with an image: their number, and the sums of how much of the network's attention (Grad-CAM) "
    "falls on tumour, ring and elsewhere, and of how much of the patch each of these is. Below five patients: zeros.",
)
def attention(rows: Rows, _: Attention) -> Answer:
    """Σ1, Σ shares and Σ volumes over the patients of the query's split whose map is not all zeros."""
    from client.networks.explaining import explain

    split, chosen = _one_split(rows)
    found = explain(rows, split, chosen)
    mapped = ~np.isnan(found.shares).any(axis=1)
    if mapped.sum() < SMALLEST_CELL:
        return Answer(sums={"patients": np.zeros(1), "shares": np.zeros(3), "volumes": np.zeros(3)})
    return Answer(
        sums={
            "patients": np.array([float(mapped.sum())]),
            "shares": found.shares[mapped].sum(axis=0),
            "volumes": found.volumes[mapped].sum(axis=0),
        }
    )


@query(
    "attribution",
    Attention,
    leaves="For each column that the fused network looks at: the sum over patients of how far it moves their linear "
    "predictor from the average patient's (integrated gradients, without signs), and the number of patients. A "
    "column that moves few of this hospital's patients: zero.",
)
def attribution(rows: Rows, _: Attention) -> Answer:
    """Σ1 and Σ|a_j| over the patients of the query's split.

    Weights chosen by a coordinator can have one patient moved alone, by that patient's own columns: so a column whose
    |a_j| rest on fewer patients than weights may ((Σ|a_j|)²/Σa_j²) counts as one that moves nobody here.
    """
    from client.networks.explaining import attributions

    split, chosen = _one_split(rows)
    found = np.abs(attributions(rows, split, chosen))
    few = np.array([rows.rests_on_few_patients(moved) for moved in found.T], dtype=bool)
    columns = np.where(few, 0.0, found.sum(axis=0))
    return Answer(sums={"patients": np.array([float(len(found))]), "columns": columns})


def _one_split(rows: Rows) -> tuple[str, np.ndarray]:
    settings = rows.study.network
    if settings is None or not settings.sees_images:
        raise HospitalError(
            Code.BAD_PARAMETERS, f"query {rows.query.name!r}: the study's model looks at no images"
        )
    if len(rows.query.splits) != 1 or rows.views.chain(str(rows.query.view))[0].step != "network":
        raise HospitalError(
            Code.BAD_PARAMETERS,
            f"query {rows.query.name!r} is asked of one split, by a view that ends in a network",
        )
    return next(rows.chosen())
