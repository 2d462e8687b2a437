"""What a network on images takes in and gives out."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shapes:
    """Sizes that follow from a study and its prepared view.

    Parameters
    ----------
    voxels
        A patch's size along z, y, x.
    phases, masks
        Channels of intensities, and of masks after them.
    parts
        Columns of the table by what they are (clinical, radiomics); those of no part are not looked at.
    outputs
        Linear predictors.
    intercept
        Whether the last layer has one; a Cox model's cannot be told from its baseline.
    second_intercept
        The same of the head of a second outcome; None: there is none.
    """

    voxels: tuple[int, int, int]
    phases: int
    masks: int
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: int = 1
    intercept: bool = True
    second_intercept: bool | None = None

    @property
    def channels(self) -> int:
        """Channels of a patch."""
        return self.phases + self.masks
