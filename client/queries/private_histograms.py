"""Histograms of predicted risk by class, with noise: mirrored by server/evaluation/private_discrimination.py."""

import numpy as np
from pydantic import ValidationInfo, field_validator

from client.noise import Release, release_of
from client.queries.quantiles import few_and_ascending
from client.queries.registry import Parameters, Schemes, bounded_array, query
from client.rows import Rows
from common.privacy_plan import noise_of_histograms
from common.query import Answer


class PrivateHistograms(Parameters):
    """The schemes to judge, for each the inner edges of its bins of predicted risk, and whether noise is added."""

    schemes: Schemes
    edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]
    noise: bool = True

    @field_validator("edges")
    @classmethod
    def _few(cls, edges: np.ndarray, info: ValidationInfo) -> np.ndarray:
        if len(edges) != len(info.data.get("schemes", ())):
            raise ValueError(f"found edges for {len(edges)} schemes, expected a row a scheme")
        return few_and_ascending(edges)


@query(
    "private_histograms",
    PrivateHistograms,
    leaves="Per scheme: patients with and without the outcome in a few bins of predicted risk, with noise.",
)
def private_histograms(rows: Rows, parameters: PrivateHistograms) -> Answer:
    """Counts by class and bin for every scheme: one patient is in one cell a scheme."""
    release = release_of(rows, noise_of_histograms(rows.study), parameters.noise)
    counted = [
        noised_histogram(*rows.probabilities(scheme), edges, release)
        for scheme, edges in zip(parameters.schemes, parameters.edges, strict=True)
    ]
    return Answer(sums={"histogram": np.array(counted)})


def noised_histogram(
    probability: np.ndarray, outcome: np.ndarray, edges: np.ndarray, release: Release
) -> np.ndarray:
    """Patients a class and bin."""
    cells = np.zeros((len(probability), 2, len(edges) + 1))
    patients = np.arange(len(probability))
    cells[patients, outcome.astype(int), np.searchsorted(edges, probability, side="left")] = 1.0
    return release.total(cells)
