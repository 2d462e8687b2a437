"""Which habitat a voxel belongs to; asked when habitats are learnt and when regions are made of them."""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from common.habitats import Habitats


def squared_distances(voxels: np.ndarray, centres: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """Voxels × habitats: squared distance to every centre, in standard deviations of each phase."""
    distances: np.ndarray = (((voxels[:, None, :] - centres) / spreads) ** 2).sum(axis=2)
    return distances


def log_joint(voxels: np.ndarray, centres: np.ndarray, covariances: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Voxels × habitats: log of share × Gaussian density."""
    columns = []
    for centre, covariance, share in zip(centres, covariances, shares, strict=True):
        root = np.linalg.cholesky(covariance)
        standardised = solve_triangular(root, (voxels - centre).T, lower=True)
        constant = np.log(share) - np.log(np.diag(root)).sum() - 0.5 * len(centre) * np.log(2 * np.pi)
        columns.append(constant - 0.5 * (standardised**2).sum(axis=0))
    return np.column_stack(columns)


def responsibilities(joint: np.ndarray) -> np.ndarray:
    """Voxels × habitats: the probability of every habitat, from `log_joint`."""
    shared: np.ndarray = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    return shared


def habitat_of(voxels: np.ndarray, habitats: Habitats) -> np.ndarray:
    """The number of every voxel's habitat, from 0, by what the study has learnt."""
    centres = np.asarray(habitats.centres)
    if habitats.method == "k-means":
        return squared_distances(voxels, centres, np.asarray(habitats.spreads)).argmin(axis=1)
    return log_joint(voxels, centres, np.asarray(habitats.covariances), np.asarray(habitats.shares)).argmax(axis=1)
