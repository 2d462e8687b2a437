"""Where a network on images looks, over all hospitals: mirrored by client/queries/attention.py.

Mean over patients of the share of Grad-CAM on tumour, ring and elsewhere, s̄ = Σ s / N, beside the mean share v̄ of the
patch that each is: s̄ / v̄ is 1 for a network that looks anywhere. Fusion: the mean |integrated gradient| of each column.
What leaves: Σ s, Σ v, Σ|a_j| and N, as masked totals; pictures stay in the hospital. Rounds: one each. Exact.
"""

from dataclasses import dataclass, replace

import numpy as np

from common.query import FEWEST_HOSPITALS
from common.room import Room
from common.splits import FINAL
from common.study import Study
from server.federation import Federation
from server.methods.models import Models
from server.methods.pipeline import Prepared

PLACES = ("tumour", "ring", "elsewhere")


@dataclass(frozen=True)
class Attention:
    """By place: the share of attention, and of the patch.

    Parameters
    ----------
    columns
        Fusion: by column of the final model, how far it moves the linear predictor on average.
    """

    patients: int
    shares: dict[str, float]
    volumes: dict[str, float]
    columns: dict[str, float]


def attention_of(
    federation: Federation, study: Study, prepared: Prepared, view: str, looked_at: np.ndarray
) -> Attention | None:
    """What the final model's network looks at; None for a network that looks at no images, or of too few patients.

    Parameters
    ----------
    view
        The view that ends in the networks.
    looked_at
        The numbers of the columns that the final model's network looks at, −1 for none.
    """
    if study.network is None or not study.network.sees_images:
        return None
    sums = federation.ask("attention", view=view, splits=(FINAL,)).sums
    patients = round(float(sums["patients"][0]))
    if not patients:
        return None
    columns: dict[str, float] = {}
    if study.network.architecture == "fusion":
        total = federation.ask("attribution", view=view, splits=(FINAL,)).sums
        means = total["columns"] / total["patients"][0]
        numbers = [int(number) for number in looked_at if number >= 0]
        columns = {prepared.columns[number]: float(means[place]) for place, number in enumerate(numbers)}
    return Attention(
        patients,
        {place: float(sums["shares"][k]) / patients for k, place in enumerate(PLACES)},
        {place: float(sums["volumes"][k]) / patients for k, place in enumerate(PLACES)},
        columns,
    )


def with_attention(federation: Federation, study: Study, room: Room, prepared: Prepared, models: Models) -> Models:
    """The models with what the final one looks at, where it is a network on images that three hospitals have."""
    if models.networks is None or room.contributing("images") < FEWEST_HOSPITALS:
        return models
    looked_at = models.networks.columns[models.networks.splits.index(FINAL), 0]
    found = attention_of(federation, study, prepared, models.scores, looked_at)
    return replace(models, networks=replace(models.networks, attention=found))
