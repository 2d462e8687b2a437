"""Cross-products of a few columns, for regressing the missing values of one column on the others."""

import numpy as np

from client.queries.registry import Parameters, bounded_array, query
from client.rows import Rows
from common.query import Answer


class CrossProducts(Parameters):
    """Which columns are regressed on which, by their numbers in the view, and the means that fill the gaps."""

    targets: tuple[int, ...]
    predictors: tuple[int, ...]
    fill: bounded_array(2, -1e300, 1e300)  # type: ignore[valid-type]
    spread: bounded_array(2, 0.0, 1e300)  # type: ignore[valid-type]


@query(
    "cross_products",
    CrossProducts,
    leaves="Per fold and column with gaps: sums of products of the clinical columns where that column is known.",
)
def cross_products(rows: Rows, parameters: CrossProducts) -> Answer:
    """DᵀD and Dᵀt over the rows where the target t is known; D = [1, (predictors − fill) / spread].

    A target that is itself a predictor is left out of its own D (its column there is 0).
    """
    chosen = list(parameters.predictors)
    width = 1 + len(chosen)
    grams, products = [], []
    for matrix, fill, spread in zip(rows.matrices(), parameters.fill, parameters.spread, strict=True):
        scaled = np.where(np.isnan(matrix), 0.0, (matrix - fill) / np.where(spread > 0, spread, 1.0))
        gram = np.zeros((len(parameters.targets), width, width))
        product = np.zeros((len(parameters.targets), width))
        for index, target in enumerate(parameters.targets):
            known = ~np.isnan(matrix[:, target])
            design = np.column_stack([np.ones(len(matrix)), scaled[:, chosen]])[known]
            design[:, [1 + chosen.index(target)] if target in chosen else []] = 0.0
            gram[index] = design.T @ design
            product[index] = design.T @ scaled[known, target]
        grams.append(gram)
        products.append(product)
    return Answer(sums={"gram": np.array(grams), "product": np.array(products)})
