"""Who is who among a cohort's patients: trained on or held out, in which batch."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from client.cohort.cohort import Cohort
from client.folds import Folds
from client.horizon import outcome_by
from common.outcomes import HorizonOutcome
from common.privacy_plan import is_private
from common.study import Study
from common.whole_hospitals import whole

Guard = Literal["full", "lower", "none"]
"""Who asks: a coordinator; `simulate` on one machine (few gaps may be imputed by regression); the hospital itself."""


@dataclass(frozen=True)
class Members:
    """The patients of one hospital's cohort in one study; `secret` keeps others from working out their folds."""

    hospital: str
    study: Study
    cohort: Cohort
    secret: str = ""
    guard: Guard = "full"

    @property
    def strata(self) -> np.ndarray:
        """What folds are stratified by: the class, or whether there was an event (surely, by the study's horizon)."""
        outcome = self.cohort.outcome
        if isinstance(self.study.outcome, HorizonOutcome):
            return (outcome_by(self.study.outcome, self.cohort) == 1).astype(np.float64)
        return outcome if outcome.ndim == 1 else outcome[:, 1]

    @property
    def classes(self) -> np.ndarray:
        """The class of every patient of whom it is known."""
        if isinstance(self.study.outcome, HorizonOutcome):
            had = outcome_by(self.study.outcome, self.cohort)
            return had[~np.isnan(had)]
        return self.strata

    @property
    def folds(self) -> Folds:
        """How this hospital deals its patients to the study's splits."""
        study = self.study
        return Folds(
            # By the outcome, one patient's would move the folds of others: with differential privacy they are not.
            np.zeros(len(self.strata)) if is_private(study) else self.strata,
            study.validation.folds,
            study.seed,
            self.hospital,
            self.secret,
            study.inner_folds(),
            lambda split: whole(study, split, self.hospital),
        )

    def training(self, split: str) -> np.ndarray:
        """A mask of the patients that a split trains on."""
        return self.folds.training(split)

    def held_out(self, split: str) -> np.ndarray:
        """A mask of the patients that a split holds out."""
        return self.folds.held_out(split)

    def batches(self) -> np.ndarray:
        """The batch of every patient within this hospital: all one, or by scanner."""
        if self.study.harmonisation.batch == "hospital+scanner":
            return self.scanners()
        return np.array([self.hospital] * len(self.cohort.ids))

    def scanners(self) -> np.ndarray:
        """The scanner model of every patient."""
        return np.array([name or "unknown scanner" for name in self.cohort.scanner])

    def levels(self, variable: str) -> np.ndarray:
        """Every patient's level of a batch variable that several hospitals share; −1 where it is unknown."""
        codes = self.cohort.columns[variable]
        return np.where(np.isnan(codes), -1, codes).astype(np.int64)

    def calibration_half(self) -> np.ndarray:
        """A mask of one half of the patients, drawn without looking at their outcome."""
        digest = hashlib.sha256(f"calibration/{self.study.seed}/{self.hospital}/{self.secret}".encode()).digest()
        order = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32)).permutation(len(self.cohort.ids))
        half = np.zeros(len(order), dtype=bool)
        half[order[: len(order) // 2]] = True
        return half
