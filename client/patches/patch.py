"""What a network can see of one patient."""

from dataclasses import dataclass

import numpy as np

from common.patches import Patches

TUMOUR, RING = 0, 1
"""The order of a patch's masks."""


@dataclass(frozen=True)
class Patch:
    """What a network can see of one patient.

    Parameters
    ----------
    intensities
        Phases × z × y × x, from −1 to 1, 16-bit floats; zeros where a phase is missing or an image ends.
    masks
        Tumour and ring × z × y × x, as drawn on the first phase that is there.
    notes
        What a person should know, e.g. a tumour larger than the patch.
    """

    intensities: np.ndarray
    masks: np.ndarray
    notes: tuple[str, ...] = ()

    def stacked(self, patches: Patches) -> np.ndarray:
        """The channels that a study's network sees, as 32-bit floats."""
        seen = self.intensities.astype(np.float32)
        if patches.shown != "everything":
            left = self.masks[TUMOUR] if patches.shown == "tumour" else self.masks.any(axis=0)
            seen = np.where(left, seen, np.float32(0))
        number = len(patches.mask_channels())
        return np.concatenate([seen, self.masks[:number].astype(np.float32)])
