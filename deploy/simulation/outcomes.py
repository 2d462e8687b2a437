"""Outcomes of synthetic patients: microvascular invasion, recurrence and death, with censoring.

Microvascular invasion is logistic; recurrence and death are proportional hazards over Weibull baselines, so that a
logistic or Cox regression on the true predictors has the coefficients below as its target.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, ndtr

from deploy.simulation.radiomics import FACTORS

TWO_YEARS_DAYS = 730
OUTCOMES = ("mvi", "early_recurrence", "os_days", "os_event", "rfs_days", "rfs_event")
UNKNOWN = -1
OUTCOME_DRAWS = ("mvi", "recurrence", "death", "follow_up", "lost")


@dataclass(frozen=True)
class Standardised:
    """A clinical column as the outcomes see it: (transform(value) − centre) / scale."""

    transform: Literal["none", "log10", "ln"]
    centre: float
    scale: float

    def of(self, values: np.ndarray) -> np.ndarray:
        """The standardised values."""
        if self.transform == "log10":
            values = np.log10(values)
        elif self.transform == "ln":
            values = np.log(values)
        return (values - self.centre) / self.scale


@dataclass(frozen=True)
class Hazard:
    """Weibull proportional hazards: S(t) = exp(−(t / scale_days)^shape · exp(linear predictor))."""

    scale_days: float
    shape: float
    coefficients: Mapping[str, float]


CLINICAL = {
    "age": Standardised("none", 58, 11),
    "afp": Standardised("log10", 1.4, 0.8),
    "tumour_size_mm": Standardised("ln", 3.8, 0.45),
    "tumour_number": Standardised("none", 1, 1),
    "albi": Standardised("none", -2.6, 0.4),
    "cirrhosis": Standardised("none", 0, 1),
}
MVI: Mapping[str, float] = {
    "afp": 0.55,
    "tumour_size_mm": 0.5,
    "ring5mm_heterogeneity": 1.1,
    "ring5mm_coarseness": -0.5,
    "tumour_heterogeneity": 0.6,
}
RECURRENCE = Hazard(
    scale_days=2600,
    shape=0.9,
    coefficients={
        "mvi": 0.6,
        "tumour_size_mm": 0.25,
        "tumour_number": 0.3,
        "afp": 0.2,
        "ring5mm_heterogeneity": 0.35,
        "tumour_detail": 0.25,
    },
)
DEATH = Hazard(
    scale_days=4300,
    shape=1.2,
    coefficients={
        "age": 0.15,
        "albi": 0.4,
        "cirrhosis": 0.25,
        "mvi": 0.45,
        "tumour_size_mm": 0.3,
        "afp": 0.25,
        "ring5mm_heterogeneity": 0.3,
    },
)


@dataclass(frozen=True)
class Followed:
    """Outcomes as a hospital writes them, and the linear predictors they were drawn from."""

    columns: dict[str, np.ndarray]
    predictors: dict[str, np.ndarray]


def predictor(
    coefficients: Mapping[str, float], clinic: Mapping[str, np.ndarray], factors: np.ndarray
) -> np.ndarray:
    """Σ coefficient · standardised column, latent factor or, for `mvi`, 0/1; without intercept."""
    total = np.zeros(len(factors))
    for name, coefficient in coefficients.items():
        if name in FACTORS:
            total += coefficient * factors[:, FACTORS.index(name)]
        else:
            total += coefficient * (CLINICAL[name].of(clinic[name]) if name in CLINICAL else clinic[name])
    return total


def intercept_for(prevalence: float, predictors: np.ndarray) -> float:
    """The intercept at which the mean probability over these patients is the prevalence."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(middle + predictors).mean() < prevalence else (low, middle)
    return round((low + high) / 2, 4)


def draw_outcomes(
    normals: np.ndarray,
    clinic: Mapping[str, np.ndarray],
    factors: np.ndarray,
    intercept: float,
    follow_up_days: float,
) -> Followed:
    """Outcomes from standard normal draws, one row of `OUTCOME_DRAWS` a patient.

    Early recurrence is known where a recurrence was seen, or where the patient was followed for two years without
    one; whoever was lost or died earlier without recurrence is UNKNOWN.
    """
    chance = dict(zip(OUTCOME_DRAWS, ndtr(normals).T, strict=True))
    logit = intercept + predictor(MVI, clinic, factors)
    mvi = (chance["mvi"] < expit(logit)).astype(int)
    known = {**clinic, "mvi": mvi}
    recurrence_risk = predictor(RECURRENCE.coefficients, known, factors)
    death_risk = predictor(DEATH.coefficients, known, factors)
    recurrence = 30 + _weibull_days(RECURRENCE, recurrence_risk, chance["recurrence"])
    death = 31 + _weibull_days(DEATH, death_risk, chance["death"])
    # Surgery over some five years up to one closing date; some three in a hundred a year are lost.
    closing = follow_up_days * (0.45 + 1.1 * chance["follow_up"])
    last = np.ceil(np.minimum(closing, -np.log(chance["lost"]) * 12_000) + 45).astype(int)
    recurred = (recurrence < death) & (recurrence < last)
    died = death <= last
    os_days = np.minimum(death, last)
    rfs_days = np.where(recurred, recurrence, os_days)
    early = np.where(rfs_days > TWO_YEARS_DAYS, 0, np.where(recurred, 1, UNKNOWN))
    return Followed(
        columns={
            "mvi": mvi,
            "early_recurrence": early,
            "os_days": os_days,
            "os_event": died.astype(int),
            "rfs_days": rfs_days,
            "rfs_event": (recurred | died).astype(int),
        },
        predictors={"mvi": logit, "recurrence": recurrence_risk, "death": death_risk},
    )


def _weibull_days(hazard: Hazard, risk: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Whole days to the event, rounded up, at most a hundred years."""
    days = hazard.scale_days * (-np.log(chance) / np.exp(risk)) ** (1 / hazard.shape)
    return np.ceil(np.minimum(days, 36_500)).astype(int)
