"""The last layer of every network: one head, or two side by side over the same layers (multi-task learning)."""

import torch
from torch import nn


class Head(nn.Linear):
    """From what the shared layers make of a patient to linear predictors; what `personal: head` keeps in a hospital."""


class TwoHeads(nn.Module):
    """A head for the study's outcome and one for the second; their linear predictors stand side by side."""

    def __init__(self, first: Head, second: Head) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, embedded: torch.Tensor) -> torch.Tensor:
        """Patients × (lines of the first outcome, and one of the second)."""
        return torch.cat([self.first(embedded), self.second(embedded)], dim=1)


def last_layer(width: int, outputs: int, intercept: bool, second_intercept: bool | None = None) -> nn.Module:
    """One head, or two.

    Parameters
    ----------
    intercept
        Whether the first has one; a Cox model's cannot be told from its baseline.
    second_intercept
        The same of the second; None: there is no second outcome.
    """
    first = Head(width, outputs, bias=intercept)
    return first if second_intercept is None else TwoHeads(first, Head(width, 1, bias=second_intercept))
