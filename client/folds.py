"""Which of a hospital's patients a split trains on and which it holds out.

The hospital assigns folds itself, from the study's seed, its own name and a secret that never leaves it; nothing else
selects rows. Without the secret, totals over enough known folds could be solved for single patients.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.errors import Code, HospitalError
from common.query import LEAVE_OUT
from common.splits import FINAL, INNER
from common.whole_hospitals import Whole


@dataclass(frozen=True)
class Folds:
    """How one hospital deals its patients to a study's splits.

    Parameters
    ----------
    strata
        The class of every patient; folds are stratified by it.
    folds, inner
        How many folds a repeat has, and how many a split has within its training rows.
    whole
        What a split does with this hospital as a whole, where it does (common/whole_hospitals.py).
    """

    strata: np.ndarray
    folds: int
    seed: int
    hospital: str
    secret: str = ""
    inner: int = 0
    whole: Callable[[str], Whole | None] = lambda _: None

    def held_out(self, split: str) -> np.ndarray:
        """A mask of the patients that a split holds out; for `final`, which trains on all, all of them."""
        patients = len(self.strata)
        if INNER in split:
            return self._inner_held_out(split)
        if (whole := self.whole(split)) is not None:
            return np.full(patients, whole.held_out)
        if split == FINAL:
            return np.ones(patients, dtype=bool)
        if split.startswith(LEAVE_OUT):
            return np.full(patients, split == f"{LEAVE_OUT}{self.hospital}")
        repeat, fold = _kfold(split)
        if not 0 <= fold < self.folds:
            raise HospitalError(
                Code.BAD_PARAMETERS, f"the split {split!r} is not one of this study's {self.folds} folds"
            )
        return self.assign(repeat) == fold

    def training(self, split: str) -> np.ndarray:
        """A mask of the patients that a split trains on."""
        if INNER in split:
            return self.training(split.partition(INNER)[0]) & ~self._inner_held_out(split)
        if (whole := self.whole(split)) is not None:
            return np.full(len(self.strata), whole.trains)
        mask = self.held_out(split)
        return mask if split == FINAL else ~mask

    def assign(self, repeat: int) -> np.ndarray:
        """The fold of every patient: stratified, balanced, and the same on every machine."""
        return _deal(self.strata, self.folds, f"folds/{self.seed}/{repeat}/{self.hospital}/{self.secret}")

    def _inner_held_out(self, split: str) -> np.ndarray:
        """The patients that an inner split holds out of those that its outer split trains on."""
        outer, _, number = split.partition(INNER)
        if not number.isdecimal() or not 0 <= int(number) < self.inner:
            raise HospitalError(
                Code.BAD_PARAMETERS, f"the split {split!r} is not one of this study's {self.inner} inner folds"
            )
        trained = np.flatnonzero(self.training(outer))
        salt = f"inner/{outer}/{self.seed}/{self.hospital}/{self.secret}"
        mask = np.zeros(len(self.strata), dtype=bool)
        mask[trained[_deal(self.strata[trained], self.inner, salt) == int(number)]] = True
        return mask


def _deal(strata: np.ndarray, folds: int, salt: str) -> np.ndarray:
    """Patients of each stratum, shuffled and dealt out in turn.

    The next stratum starts where the last one stopped, so that the folds' sizes differ by one at the most.
    """
    digest = hashlib.sha256(salt.encode()).digest()
    shuffle = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
    fold = np.empty(len(strata), dtype=np.int64)
    dealt = int(shuffle.integers(folds))
    for stratum in np.unique(strata):
        patients = np.flatnonzero(strata == stratum)
        shuffle.shuffle(patients)
        fold[patients] = (dealt + np.arange(len(patients))) % folds
        dealt += len(patients)
    return fold


def _kfold(split: str) -> tuple[int, int]:
    kind, _, numbers = split.partition("/")
    repeat, _, fold = numbers.partition("/")
    if kind != "kfold" or not repeat.isdecimal() or not fold.isdecimal():
        raise HospitalError(Code.BAD_PARAMETERS, f"there is no split {split!r}")
    return int(repeat), int(fold)
