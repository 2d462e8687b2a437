"""What parts of a prediction have in common with the whole: mirrored by server/evaluation/parts.py."""

import numpy as np

from client.queries.registry import Parameters, per_split, query
from client.rows import Rows
from client.view_bounds import MAXIMUM_COEFFICIENT
from common.query import Answer


class Parts(Parameters):
    """The model's coefficients on the view's columns, those of each part in a row of their own."""

    beta: per_split(-MAXIMUM_COEFFICIENT, MAXIMUM_COEFFICIENT, None, "columns")  # type: ignore[valid-type]


@query(
    "parts",
    Parts,
    leaves="Sums and sums of products of a few parts of the linear predictor: of clinical columns, tumour, ring.",
)
def parts(rows: Rows, parameters: Parts) -> Answer:
    """n, Ση_g and Ση_g η_h, η_g being the part of the linear predictor that group g brings."""
    patients, first, products = [], [], []
    for matrix, beta in zip(rows.matrices(), parameters.beta, strict=True):
        brought = matrix @ beta.T
        patients.append(float(len(matrix)))
        first.append(brought.sum(axis=0))
        products.append(brought.T @ brought)
    return Answer(sums={"patients": np.array(patients), "first": np.array(first), "products": np.array(products)})
