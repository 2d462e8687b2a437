"""Habitats of tumours, from all hospitals: mirrored by client/queries/habitats.py.

Voxels of patient i weigh 1/nᵢ, so that every patient counts as one. With totals over all hospitals:

- start: mean and covariance Σ̂ of intensities; k centres along the first principal component of the standardised phases
  at the normal quantiles (j − ½)/k, so that no patient's voxel is a start;
- k-means (Lloyd): every voxel goes to the nearest centre, distances in standard deviations of each phase;
  c ← c + Σ w (x − c) / Σ w, until no centre moves;
- Gaussian mixture (EM), from there: shares, centres and full covariances from the voxels' probabilities, until the
  log-likelihood rises by less than 1e-5 a patient.

What leaves: the sums above, a habitat each; zeros from a hospital where fewer than five patients have a voxel in it. A
habitat that fewer than three hospitals speak of does not move in that round, and stops the preparation if it ends so.
Rounds: 2 and at most `iterations`. Exact: the pooled fit from the same start to 1e-9, then rounded to six digits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from common.errors import StudyStopped
from common.habitats import Habitats
from common.query import FEWEST_HOSPITALS, SMALLEST_ROW_SET
from server.federation import Federation
from server.rounding import six_digits

STILL = 1e-9
"""In standard deviations: a centre that moves by less has converged."""
NO_BETTER = 1e-5
SMALLEST_VARIANCE = 1e-6
"""Added to a mixture's variances, in those of all voxels: a habitat of one grey level has no density."""


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of all patients' voxels, a patient counting as one."""

    patients: int
    mean: np.ndarray
    covariance: np.ndarray

    @property
    def spreads(self) -> np.ndarray:
        """The standard deviation of each phase."""
        found: np.ndarray = np.sqrt(np.diag(self.covariance))
        return found


@dataclass(frozen=True)
class Fit:
    """Habitats in the order of their centres on the first phase.

    Parameters
    ----------
    shares
        How much of all tumours each habitat is.
    within
        k-means: the squared distance to the nearest centre, per patient; mixture: minus the log-likelihood.
    """

    centres: np.ndarray
    covariances: np.ndarray
    shares: np.ndarray
    within: float
    iterations: int
    converged: bool

    def in_order(self) -> "Fit":
        """Habitat 1 is the darkest on the first phase."""
        order = np.lexsort(self.centres.T[::-1])
        return Fit(
            self.centres[order],
            self.covariances[order],
            self.shares[order],
            self.within,
            self.iterations,
            self.converged,
        )


@dataclass(frozen=True)
class Learnt:
    """What goes into the study, and what a person should know about it."""

    constants: dict[str, list[Any]]
    notes: tuple[str, ...]


def learn_habitats(federation: Federation, habitats: Habitats) -> Learnt:
    """Centres, and what else the method needs, rounded to six digits."""
    moments = ask_moments(federation, len(habitats.phases))
    iterations = habitats.iterations if habitats.method == "k-means" else habitats.iterations // 2
    fit = k_means(federation, start(moments, habitats.number), moments, iterations)
    if habitats.method == "gmm":
        fit = mixture(federation, fit, moments, habitats.iterations - fit.iterations)
    fit = fit.in_order()
    constants: dict[str, list[Any]] = {"centres": six_digits(fit.centres)}
    if habitats.method == "k-means":
        constants["spreads"] = six_digits(moments.spreads)
    else:
        constants |= {"covariances": six_digits(fit.covariances), "shares": six_digits(fit.shares)}
    shares = ", ".join(f"{share:.0%}" for share in fit.shares)
    notes = [f"habitats: {moments.patients} patients, {fit.iterations} iterations; shares of all tumours {shares}"]
    if not fit.converged:
        notes.append(
            f"habitats: the centres still moved after {fit.iterations} iterations: raise features.habitats.iterations, "
            "or ask for fewer habitats"
        )
    return Learnt(constants, tuple(notes))


def ask_moments(federation: Federation, phases: int) -> Moments:
    """Mean first, then products about it: intensities far from 0 lose no digits."""
    mean = np.zeros(phases)
    for _ in range(2):
        sums = federation.ask("habitat_moments", arrays={"centre": mean}).sums
        patients = int(sums["patients"][0])
        if patients < SMALLEST_ROW_SET:
            raise StudyStopped(
                f"features.habitats: {patients} patients have all of its phases, {SMALLEST_ROW_SET} are needed: add "
                "hospitals, or name phases that more patients have"
            )
        shift = sums["first"] / patients
        covariance = sums["second"] / patients - np.outer(shift, shift)
        mean = mean + shift
    if not (np.diag(covariance) > 0).all():
        raise StudyStopped(
            "features.habitats: a phase has one intensity only: name phases that tell tumours apart"
        )
    return Moments(patients, mean, covariance)


def start(moments: Moments, number: int) -> np.ndarray:
    """Centres at the normal quantiles along the first principal component of the standardised phases."""
    spreads = moments.spreads
    values, vectors = np.linalg.eigh(moments.covariance / np.outer(spreads, spreads))
    along = vectors[:, -1] * np.sign(vectors[np.abs(vectors[:, -1]).argmax(), -1])
    quantiles = norm.ppf((np.arange(number) + 0.5) / number)
    centres: np.ndarray = moments.mean + np.outer(quantiles * np.sqrt(values[-1]), along) * spreads
    return centres


def k_means(federation: Federation, centres: np.ndarray, moments: Moments, iterations: int) -> Fit:
    """Lloyd's algorithm on totals."""
    spreads = moments.spreads
    for iteration in range(1, iterations + 1):
        sums = federation.ask(
            "habitat_clusters",
            parameters={"iteration": iteration},
            arrays={"centres": centres, "spreads": spreads},
        ).sums
        moves = _spoken_of(sums["hospitals"], sums["weight"])
        step = np.where(moves[:, None], sums["first"] / np.where(moves, sums["weight"], 1.0)[:, None], 0.0)
        converged = bool((np.abs(step) / spreads).max() < STILL)
        if converged:
            break
        centres = centres + step
    _stop_at_lonely(moves)
    within = float(sums["within"].sum() / moments.patients)
    # Until a mixture knows better: every habitat a ball of the same size, in standard deviations.
    ball = np.diag(spreads**2) * max(within / len(spreads), SMALLEST_VARIANCE)
    covariances = np.repeat(ball[None], len(centres), axis=0)
    return Fit(centres, covariances, sums["weight"] / sums["weight"].sum(), within, iteration, converged)


def mixture(federation: Federation, begin: Fit, moments: Moments, iterations: int) -> Fit:
    """Expectation-maximisation on totals, from k-means."""
    centres, covariances, shares = begin.centres, begin.covariances, begin.shares
    least, before, converged = np.diag(moments.spreads**2) * SMALLEST_VARIANCE, -np.inf, False
    for iteration in range(1, iterations + 1):
        sums = federation.ask(
            "habitat_mixture",
            parameters={"iteration": iteration},
            arrays={"centres": centres, "covariances": covariances, "shares": shares},
        ).sums
        moves = _spoken_of(sums["hospitals"], sums["weight"])
        fit = float(sums["fit"][0] / moments.patients)
        converged = fit - before < NO_BETTER
        if converged:
            break
        before = fit
        weight = np.where(moves, sums["weight"], 1.0)
        step = np.where(moves[:, None], sums["first"] / weight[:, None], 0.0)
        found = sums["second"] / weight[:, None, None] - step[:, :, None] * step[:, None, :] + least
        found = (found + found.transpose(0, 2, 1)) / 2  # the last bit: hospitals ask for symmetric matrices
        centres = centres + step
        covariances = np.where(moves[:, None, None], found, covariances)
        shares = np.where(moves, sums["weight"] / sums["weight"].sum(), shares)
        shares = shares / shares.sum()
    _stop_at_lonely(moves)
    return Fit(centres, covariances, shares, -fit, begin.iterations + iteration, converged)


def _spoken_of(hospitals: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Which habitats three hospitals and more have patients in."""
    found: np.ndarray = (hospitals >= FEWEST_HOSPITALS) & (weight > 0)
    return found


def _stop_at_lonely(spoken_of: np.ndarray) -> None:
    if not spoken_of.all():
        raise StudyStopped(
            f"features.habitats: {int((~spoken_of).sum())} of {len(spoken_of)} habitats were found in five patients "
            f"and more at fewer than {FEWEST_HOSPITALS} hospitals: ask for fewer (number)"
        )
