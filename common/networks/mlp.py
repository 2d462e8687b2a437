"""A multilayer perceptron over the columns of the prepared view."""

from torch import nn

from common.networks.last_layer import last_layer
from common.networks.settings import Network

LARGEST_GROUP = 16
"""Units that group normalisation takes together."""


def build(settings: Network, inputs: int, outputs: int, intercept: bool) -> nn.Module:
    """Linear, normalisation, activation and dropout for every hidden layer; then a linear layer to the outputs.

    Parameters
    ----------
    intercept
        Whether the last layer has one; a Cox model's cannot be told from its baseline.
    """
    layers: list[nn.Module] = []
    width = inputs
    for hidden in settings.hidden:
        layers.append(nn.Linear(width, hidden))
        layers += _normalisation(settings, hidden)
        layers.append({"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}[settings.activation]())
        if settings.dropout:
            layers.append(nn.Dropout(settings.dropout))
        width = hidden
    second = None if settings.also is None else not settings.also.survival
    return nn.Sequential(*layers, last_layer(width, outputs, intercept, second))


def _normalisation(settings: Network, width: int) -> list[nn.Module]:
    if settings.normalisation == "layer":
        return [nn.LayerNorm(width)]
    if settings.normalisation == "batch":
        return [nn.BatchNorm1d(width, momentum=None)]  # a plain mean over what it is shown
    if settings.normalisation == "group":
        groups = max(
            g for g in range(1, width + 1) if width % g == 0 and g * LARGEST_GROUP <= max(width, LARGEST_GROUP)
        )
        return [nn.GroupNorm(groups, width)]
    return []
