"""What a network can see of one patient."""

from dataclasses import dataclass

import numpy as np

from common.patches import Patches, Shown

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

    def stacked(self, patches: Patches, shown: Shown | None = None) -> np.ndarray:
        """The channels that a study's network sees, as 32-bit floats.

        Parameters
        ----------
        shown
            What is left of them; None: what the study says. A mask that is not shown is zeros.
        """
        shown = shown or patches.shown
        seen = self.intensities.astype(np.float32)
        if shown != "everything":
            left = self.masks[TUMOUR] if shown == "tumour" else self.masks.any(axis=0)
            seen = np.where(left, seen, np.float32(0))
        masks = self.masks[: len(patches.mask_channels())].astype(np.float32)
        if shown == "tumour":
            masks[TUMOUR + 1 :] = 0
        return np.concatenate([seen, masks])
