"""A cohort's patches beside its columns, as networks on images take them (common/networks/packing.py)."""

import numpy as np

from client.cohort.cohort import Cohort
from common.errors import Code, HospitalError
from common.networks.packing import packed_width
from common.study import Study


def packed_patches(study: Study, cohort: Cohort, chosen: np.ndarray | None = None, model: str = "") -> np.ndarray:
    """Patients × (1 + voxels), zeros for who has no image; no columns where the network looks at no images.

    Parameters
    ----------
    chosen
        A mask of the cohort's patients; None: all.
    model
        Whose: one that is shown no images gets zeros for everybody.
    """
    numbers = np.arange(len(cohort.ids)) if chosen is None else np.flatnonzero(chosen)
    width = packed_width(study)
    if not width:
        return np.zeros((len(numbers), 0))
    if len(cohort.patches) != len(cohort.ids) or study.patches is None:
        raise HospitalError(
            Code.NO_FEATURES, "the network looks at images, and this cohort was read without patches"
        )
    found, shown = np.zeros((len(numbers), width), dtype=np.float32), study.shown_to(model)
    for row, number in enumerate(numbers):
        patch = cohort.patches[number]
        if patch is not None and shown != "none":
            found[row, 0] = 1.0
            found[row, 1:] = patch.stacked(study.patches, shown).ravel()
    return found
