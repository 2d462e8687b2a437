"""What a privacy budget will cost in accuracy, from public numbers alone, before anything is asked.

For a model of usual strength (true AUC 0.75, so that the linear predictor has variance 1 and the AUC is Φ(d/√2),
d = √2·Φ⁻¹(0.75)), p columns and n patients: the linear predictor's error has variance p/(n/4) from sampling, and
p·σ²/(n/4)² from noise, σ being that of one gradient step on rows of their usual length √(1 + p). It points in the
right direction with correlation r = 1/√(1 + both), and its AUC is Φ(r·Φ⁻¹(0.75)). On simulated studies of 20 columns
(150 to 1500 patients, ε 1 to 4) the AUC came out up to 0.03 lower, and what the noise took within 0.01 of this.
"""

from dataclasses import dataclass
from math import sqrt

from scipy.stats import norm

from common.errors import StudyStopped
from common.privacy_plan import clip_of, noise_of_gradient, times_of
from common.splits import FINAL
from common.study import Study

USUAL_AUC = 0.75
USUAL_STEPS = 5
MOST_LOST = 0.06
"""Of AUC; beyond it the noise takes about a quarter of what the usual model has over chance, and more."""
LARGEST_EPSILON = 20.0
MOST_PATIENTS = 1_000_000


@dataclass(frozen=True)
class Cost:
    """The AUC that a usual model would reach without noise and with it."""

    patients: int
    columns: int
    without: float
    with_noise: float

    @property
    def lost(self) -> float:
        """How much AUC the noise is expected to take."""
        return self.without - self.with_noise

    @property
    def pointless(self) -> bool:
        """Whether it takes too much for the study to be worth its patients' budget."""
        return self.lost > MOST_LOST


def predicted_cost(study: Study, patients: int, columns: int) -> Cost:
    """The expected cost of the study's noise for the final model."""
    information = patients / 4
    shortened = max(1.0, sqrt(1 + columns) / clip_of(study, columns))
    sigma = noise_of_gradient(study, FINAL, columns) * shortened
    if study.network is not None:  # many small steps: their noise averages out as if there were the usual few
        sigma *= sqrt(min(1.0, USUAL_STEPS / times_of(study, "private_gradient")))
    sampling, noise = columns / information, columns * (sigma / information) ** 2
    return Cost(patients, columns, _auc(sampling), _auc(sampling + noise))


def refuse_pointless(study: Study, patients: int, columns: int) -> Cost:
    """The expected cost; StudyStopped, with what would do, where it makes the study pointless and is not forced."""
    private = study.privacy.differential
    cost = predicted_cost(study, patients, columns)
    if private is None or private.force or not cost.pointless:
        return cost
    raise StudyStopped(
        f"privacy.differential: with {patients} patients, {columns} columns and ε = {private.epsilon:g} a usual model "
        f"is expected to reach an AUC of {cost.with_noise:.2f} instead of {cost.without:.2f}: the noise would make the "
        f"study pointless. {_cure(study, patients, columns)}; privacy.differential.force: true runs it all the same. "
        "No total was asked for yet, and no budget is spent"
    )


def _cure(study: Study, patients: int, columns: int) -> str:
    """The smallest ε, the fewest patients and the most columns that would do, each by itself."""
    private = study.privacy.differential
    assert private is not None
    ways = []
    raised = [private.epsilon * 1.1**k for k in range(1, 60)]
    for epsilon in (e for e in raised if e <= LARGEST_EPSILON):
        changed = private.model_copy(update={"epsilon": epsilon})
        if not predicted_cost(_with(study, changed), patients, columns).pointless:
            ways.append(f"ε = {epsilon:.1f}")
            break
    more = next(
        (n for k in range(1, 100) if not predicted_cost(study, n := int(patients * 1.1**k), columns).pointless), 0
    )
    ways += [f"{more} patients"] if 0 < more <= MOST_PATIENTS else []
    fewer = next((p for p in range(columns - 1, 0, -1) if not predicted_cost(study, patients, p).pointless), 0)
    ways += [f"{fewer} columns"] if fewer else []
    alone = study.model_copy(update={"validation": study.validation.model_copy(update={"folds": 0})})
    if study.validation.folds and not predicted_cost(alone, patients, columns).pointless:
        ways.append("no folds (validation.folds: 0), so that the final model has the whole budget")
    return f"{' or '.join(ways) or 'No other budget'} would do"


def _with(study: Study, differential: object) -> Study:
    return study.model_copy(update={"privacy": study.privacy.model_copy(update={"differential": differential})})


def _auc(error: float) -> float:
    return float(norm.cdf(norm.ppf(USUAL_AUC) / sqrt(1 + error)))
