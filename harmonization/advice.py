"""Did harmonisation help on this data? One of three words, and a sentence a person can act on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harmonization.hospital_effect import HospitalEffect

Verdict = Literal["help", "harm", "no difference"]

LEAST_CHANGE = 0.01
"""One percent of variance: less than this is not worth a word, however many patients there are."""

HELP, HARM = 1.0, 2.0
"""How many standard deviations of a chance hospital effect the change must pass. Harmonising where nothing is
wrong adds its own noise, so the bar for harm is higher. By chance a fall passed a bar of 1 once in 600 trials."""

BIOLOGY_LOST = 0.7
"""Below this share of the covariates' |t| kept, biology went out with the hospital effect."""


@dataclass(frozen=True)
class Evidence:
    """What held-out rows say about the hospitals, averaged over folds; made by `evidence`."""

    share_location: float
    share_spread: float
    variance_location: float
    variance_spread: float
    patients: float
    batches: int

    @property
    def chance(self) -> float:
        """Standard deviation of the mean ω² with no hospital effect, were all features copies of one: √(2(k−1))/N.

        Features are correlated, nobody knows how much without their p×p matrix; this is the worst case.
        """
        return float(np.sqrt(2.0 * (self.batches - 1)) / self.patients)


@dataclass(frozen=True)
class Advice:
    """The verdict and its reasons in words."""

    verdict: Verdict
    sentence: str


def evidence(location: Sequence[HospitalEffect], spread: Sequence[HospitalEffect]) -> Evidence:
    """The mean over folds of the features' hospital effect: location by ANOVA, spread by Brown–Forsythe.

    One entry a fold, from that fold's held-out rows; patients add over folds.
    """
    if not location or len(location) != len(spread):
        raise ValueError(f"evidence: {len(location)} fold(s) of location, {len(spread)} of spread")
    return Evidence(
        share_location=float(np.mean([effect.share() for effect in location])),
        share_spread=float(np.mean([effect.share() for effect in spread])),
        variance_location=float(np.mean([effect.omega_squared.mean() for effect in location])),
        variance_spread=float(np.mean([effect.omega_squared.mean() for effect in spread])),
        patients=float(sum(effect.patients for effect in location)),
        batches=location[0].batches,
    )


def advice(before: Evidence, after: Evidence, biology_kept: float = 1.0) -> Advice:
    """Help, harm or no difference, from held-out rows before and after.

    Help: the variance that hospitals explain (ω², mean over features; location or spread) falls by more than
    √(2(k−1))/N and 0.01, and by more than a third of what there was. Harm: it rises by more than twice that, or
    biology is lost. Calibrated on synthetic hospitals, 4 × 60 patients and 100 features.
    """
    falls = {
        "location": (before.variance_location, before.variance_location - after.variance_location),
        "spread": (before.variance_spread, before.variance_spread - after.variance_spread),
    }
    helped = [
        name
        for name, (was, fall) in falls.items()
        if fall > max(HELP * before.chance, LEAST_CHANGE) and fall > was / 3.0
    ]
    harmed = [name for name, (_, fall) in falls.items() if -fall > max(HARM * before.chance, LEAST_CHANGE)]
    shares = (
        f"features with a hospital effect on held-out patients: location {before.share_location:.0%} before, "
        f"{after.share_location:.0%} after; spread {before.share_spread:.0%} and {after.share_spread:.0%}"
    )
    if biology_kept < BIOLOGY_LOST:
        return Advice(
            "harm",
            f"Harmonisation did harm: only {biology_kept:.0%} of the covariates' signal is kept ({shares}).",
        )
    if harmed:
        return Advice(
            "harm", f"Harmonisation did harm: hospitals differ more in {' and '.join(harmed)} ({shares})."
        )
    if helped:
        return Advice("help", f"Harmonisation helped: hospitals differ less in {' and '.join(helped)} ({shares}).")
    return Advice("no difference", f"Harmonisation made no difference that held-out patients show ({shares}).")
