"""Which of a hospital's patients a split trains on and which it holds out.

The hospital assigns folds itself, from the study's seed, its own name and a secret that never leaves it; nothing else
selects rows. Without the secret, totals over enough known folds could be solved for single patients.
"""

import hashlib

import numpy as np

from common.errors import Code, HospitalError
from common.query import LEAVE_OUT
from common.splits import FINAL


def assign_folds(
    strata: np.ndarray, folds: int, seed: int, repeat: int, hospital: str, secret: str = ""
) -> np.ndarray:
    """The fold of every patient: stratified, balanced, and the same on every machine.

    Patients of each stratum are shuffled and dealt out in turn; the next stratum starts where the last one
    stopped, so that the folds' sizes differ by one at the most.
    """
    digest = hashlib.sha256(f"folds/{seed}/{repeat}/{hospital}/{secret}".encode()).digest()
    shuffle = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
    fold = np.empty(len(strata), dtype=np.int64)
    dealt = int(shuffle.integers(folds))
    for stratum in np.unique(strata):
        patients = np.flatnonzero(strata == stratum)
        shuffle.shuffle(patients)
        fold[patients] = (dealt + np.arange(len(patients))) % folds
        dealt += len(patients)
    return fold


def held_out(split: str, strata: np.ndarray, folds: int, seed: int, hospital: str, secret: str = "") -> np.ndarray:
    """A mask of the patients that a split holds out; for `final`, which trains on all, all of them."""
    patients = len(strata)
    if split == FINAL:
        return np.ones(patients, dtype=bool)
    if split.startswith(LEAVE_OUT):
        return np.full(patients, split == f"{LEAVE_OUT}{hospital}")
    _, repeat, fold = _kfold(split)
    if not 0 <= fold < folds:
        raise HospitalError(Code.BAD_PARAMETERS, f"the split {split!r} is not one of this study's {folds} folds")
    return assign_folds(strata, folds, seed, repeat, hospital, secret) == fold


def training(split: str, strata: np.ndarray, folds: int, seed: int, hospital: str, secret: str = "") -> np.ndarray:
    """A mask of the patients that a split trains on."""
    mask = held_out(split, strata, folds, seed, hospital, secret)
    return mask if split == FINAL else ~mask


def _kfold(split: str) -> tuple[str, int, int]:
    kind, _, numbers = split.partition("/")
    repeat, _, fold = numbers.partition("/")
    if kind != "kfold" or not repeat.isdecimal() or not fold.isdecimal():
        raise HospitalError(Code.BAD_PARAMETERS, f"there is no split {split!r}")
    return kind, int(repeat), int(fold)
