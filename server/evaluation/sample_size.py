"""How many patients a study needs before it starts: events per variable, Riley's criteria, dimension, privacy.

With p candidate parameters, Cox–Snell R² that the model is expected to reach, and N patients (Riley et al. 2019,
doi:10.1002/sim.7992 for binary, doi:10.1002/sim.7993 for survival outcomes; Riley et al. 2020, doi:10.1136/bmj.m441):

    shrinkage     S = 0.9:                    N ≥ p / ((S − 1) ln(1 − R²/S))
    optimism      R²/max R² off by ≤ 0.05:    the same with S = R² / (R² + 0.05 max R²)
    overall risk  within ± 0.05, 95 %:        binary: N ≥ (1.96/0.05)² φ(1 − φ);
                                              survival: 1 − exp(−(λ ± 1.96 √(λ/T)) t) within 0.05 of 1 − exp(−λt)

φ is the share with the event, λ = events a year, T years of follow-up in all, t the horizon.
max R² = 1 − exp(2 lnL₀/N), with lnL₀ = E ln φ + (N − E) ln(1 − φ), for survival E ln(E/N) − E.
Where nothing is known of R², 15 % of max R². Nothing is asked of a hospital but the roll call.
"""

from dataclasses import dataclass
from math import ceil, exp, log, sqrt
from typing import Literal

from server.evaluation.discrimination import NORMAL_95

SHRINKAGE = 0.9
OPTIMISM = 0.05
MARGIN = 0.05
EXPECTED_SHARE = 0.15
"""Of max R², where no earlier model says more (Riley et al. 2020)."""
PATIENTS_A_COLUMN = 3
FEWEST_FOR_PRIVACY = 500
"""From about so many patients ε ≈ 2 costs little; at 150 it costs most of what the model knows (measured)."""

Kind = Literal["binary", "survival"]


@dataclass(frozen=True)
class FollowUp:
    """Years that a patient is followed on average, and the horizon of the predictions."""

    mean_years: float
    horizon_years: float


@dataclass(frozen=True)
class Criterion:
    """One criterion: how many patients it asks for, and what it is for."""

    name: str
    needed: int
    meaning: str


@dataclass(frozen=True)
class SampleSize:
    """What a number of patients and events allows, for a number of candidate parameters.

    `smaller`: of events and others, whichever are fewer; for survival the events.
    """

    kind: Kind
    patients: int
    events: int
    parameters: int
    r_squared: float
    highest_r_squared: float
    criteria: tuple[Criterion, ...]

    @property
    def smaller(self) -> int:
        """What events per variable count."""
        return self.events if self.kind == "survival" else min(self.events, self.patients - self.events)

    @property
    def events_per_variable(self) -> float:
        """Patients of the smaller class, or events, for each candidate parameter."""
        return self.smaller / self.parameters

    @property
    def needed(self) -> int:
        """Patients that the strictest criterion asks for."""
        return max(criterion.needed for criterion in self.criteria)

    @property
    def widest(self) -> int:
        """Columns that a cross-product over all patients may have: N/3 − 1."""
        return max(0, self.patients // PATIENTS_A_COLUMN - 1)

    @property
    def most_parameters(self) -> int:
        """The most candidate parameters with which the first two criteria hold for these patients."""
        allowed = min(_slope(s, self.r_squared) * self.patients for s in self._shrinkages())
        return max(0, int(allowed + 1e-9))

    def _shrinkages(self) -> tuple[float, float]:
        return SHRINKAGE, self.r_squared / (self.r_squared + OPTIMISM * self.highest_r_squared)


def highest_r_squared(kind: Kind, patients: int, events: int) -> float:
    """The Cox–Snell R² of a perfect model; below 1, and far below for a rare outcome."""
    if kind == "survival":
        null = events * log(events / patients) - events
    else:
        null = events * log(events / patients) + (patients - events) * log(1 - events / patients)
    return 1 - exp(2 * null / patients)


def sample_size(
    kind: Kind,
    patients: int,
    events: int,
    parameters: int,
    *,
    r_squared: float | None = None,
    follow_up: FollowUp | None = None,
) -> SampleSize:
    """Hold numbers of patients and events against the criteria.

    Parameters
    ----------
    parameters
        Candidate parameters: all columns that are tried, not those that are kept.
    r_squared
        Cox–Snell R² that is expected; None: 15 % of the highest possible.
    follow_up
        For a survival outcome; without it its third criterion is left out.
    """
    if not 0 < events < patients:
        raise ValueError(f"{events} events among {patients} patients: both kinds are needed")
    if parameters < 1:
        raise ValueError("no candidate parameter")
    highest = highest_r_squared(kind, patients, events)
    expected = EXPECTED_SHARE * highest if r_squared is None else r_squared
    if not 0 < expected < min(highest, SHRINKAGE):
        raise ValueError(f"R² of {expected:.3g}: with this share of events it lies between 0 and {highest:.3g}")
    optimism = expected / (expected + OPTIMISM * highest)
    criteria = [
        Criterion(
            "shrinkage", _patients_for(SHRINKAGE, expected, parameters), "coefficients shrink by 10 % at most"
        ),
        Criterion(
            "optimism", _patients_for(optimism, expected, parameters), "the model's R² is too good by 0.05 at most"
        ),
    ]
    share = events / patients
    if kind == "binary":
        needed = ceil((NORMAL_95 / MARGIN) ** 2 * share * (1 - share))
        criteria.append(Criterion("overall risk", needed, "the overall risk is known within 0.05"))
    elif follow_up is not None:
        needed = _for_overall_risk(share / follow_up.mean_years, follow_up)
        criteria.append(Criterion("overall risk", needed, "the risk at the horizon is known within 0.05"))
    return SampleSize(kind, patients, events, parameters, expected, highest, tuple(criteria))


def _slope(shrinkage: float, r_squared: float) -> float:
    """Parameters a patient that a shrinkage allows."""
    return (shrinkage - 1) * log(1 - r_squared / shrinkage)


def _patients_for(shrinkage: float, r_squared: float, parameters: int) -> int:
    return ceil(parameters / _slope(shrinkage, r_squared) - 1e-9)


def _for_overall_risk(rate: float, follow_up: FollowUp) -> int:
    """The fewest patients with whom both limits of the risk at the horizon lie within the margin."""
    low, high = 1, 1
    while not _risk_is_known(rate, follow_up, high):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _risk_is_known(rate, follow_up, middle) else (middle + 1, high)
    return high


def _risk_is_known(rate: float, follow_up: FollowUp, patients: int) -> bool:
    error = NORMAL_95 * sqrt(rate / (follow_up.mean_years * patients))
    risk, low, high = (
        1 - exp(-max(value, 0.0) * follow_up.horizon_years) for value in (rate, rate - error, rate + error)
    )
    return max(high - risk, risk - low) <= MARGIN
