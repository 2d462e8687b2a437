"""How much of a map of attention falls on tumour, ring and elsewhere: three shares a patient."""

from collections.abc import Sequence

import numpy as np

from client.patches.patch import Patch


def attention_shares(heat: np.ndarray, patches: Sequence[Patch]) -> tuple[np.ndarray, np.ndarray]:
    """Patients × (tumour, ring, elsewhere): the attention's share, and the place's share of the patch, which is chance.

    Parameters
    ----------
    heat
        Patients × z × y × x, not negative; a patient whose map is all zeros has no shares (NaN).
    """
    shares, volumes = np.full((len(patches), 3), np.nan), np.empty((len(patches), 3))
    for row, (own, patch) in enumerate(zip(heat, patches, strict=True)):
        places = _places(patch)
        volumes[row] = places.mean(axis=(1, 2, 3))
        mass = float(own.sum(dtype=np.float64))
        if mass > 0:
            shares[row] = (own * places).sum(axis=(1, 2, 3), dtype=np.float64) / mass
    return shares, volumes


def _places(patch: Patch) -> np.ndarray:
    return np.concatenate([patch.masks, ~patch.masks.any(axis=0, keepdims=True)])
