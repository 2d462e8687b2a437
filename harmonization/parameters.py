"""What the coordinator publishes: ComBat's settings and fitted parameters, as plain arrays with a content hash."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmonization.arrays import Array

FORMAT = "hepafed-combat/1"
NOT_HARMONISED = -1


@dataclass(frozen=True)
class CombatSettings:
    """Which ComBat.

    Parameters
    ----------
    empirical_bayes : shrink each batch's location and scale towards its mean over the features of a group.
    parametric : normal and inverse-gamma priors; otherwise the features themselves are the prior (non-parametric).
    mean_only : adjust location and leave scale alone; recommended for batches under 30 patients.
    """

    empirical_bayes: bool = True
    parametric: bool = True
    mean_only: bool = False

    def __post_init__(self) -> None:
        if not self.empirical_bayes and not self.parametric:
            raise ValueError(
                "parametric: false chooses a prior, but empirical_bayes is off: set one of them to true"
            )


@dataclass(frozen=True)
class CombatParameters:
    """ComBat's shared part: with them a hospital finishes alone.

    ``coefficients`` B (q×p), ``grand_mean`` (p), ``variance`` σ² (p), ``constant`` (p): passed through
    unchanged, ``groups`` (p): features with one number share priors, −1 is left alone, ``patients`` (p): N
    behind each feature. ``reference``: the batch whose mean and variance these are, or "".
    ``findings``: what the fit had to say.
    """

    settings: CombatSettings
    coefficients: Array
    grand_mean: Array
    variance: Array
    constant: NDArray[np.bool_]
    groups: NDArray[np.int64]
    patients: Array
    covariate_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    reference: str = ""
    findings: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        q, p = self.coefficients.shape
        for name in ("grand_mean", "variance", "constant", "groups", "patients"):
            if getattr(self, name).shape != (p,):
                raise ValueError(f"{name}: expected {p} features, found shape {getattr(self, name).shape}")
        for name, names, expected in (("covariate", self.covariate_names, q), ("feature", self.feature_names, p)):
            if names and len(names) != expected:
                raise ValueError(f"{name}_names: expected {expected}, found {len(names)}")

    @property
    def harmonised(self) -> NDArray[np.bool_]:
        """The features that ComBat changes: neither constant nor left alone."""
        changed: NDArray[np.bool_] = ~self.constant & (self.groups >= 0)
        return changed

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the outcome: the model's name in a ledger."""
        content = hashlib.sha256()
        words = [FORMAT, repr(self.settings), *self.covariate_names, "|", *self.feature_names, "|", self.reference]
        content.update("\0".join(words).encode())
        for array, kind in (
            (self.coefficients, "<f8"),
            (self.grand_mean, "<f8"),
            (self.variance, "<f8"),
            (self.patients, "<f8"),
            (self.groups, "<i8"),
            (self.constant, "<i1"),
        ):
            content.update(repr(array.shape).encode() + np.ascontiguousarray(array, dtype=kind).tobytes())
        return content.hexdigest()

    def to_arrays(self) -> dict[str, Any]:
        """Plain lists, numbers and words: JSON keeps every bit of them."""
        return {
            "format": FORMAT,
            "settings": {
                "empirical_bayes": self.settings.empirical_bayes,
                "parametric": self.settings.parametric,
                "mean_only": self.settings.mean_only,
            },
            "coefficients": self.coefficients.tolist(),
            "grand_mean": self.grand_mean.tolist(),
            "variance": self.variance.tolist(),
            "constant": self.constant.tolist(),
            "groups": self.groups.tolist(),
            "patients": self.patients.tolist(),
            "covariate_names": list(self.covariate_names),
            "feature_names": list(self.feature_names),
            "reference": self.reference,
            "findings": list(self.findings),
            "digest": self.digest,
        }


def named(positions: NDArray[np.intp], names: tuple[str, ...], limit: int = 5) -> str:
    """The first few columns by name, or by number where there are no names."""
    shown = [names[j] if names else f"number {j}" for j in positions[:limit]]
    return ", ".join(shown) + (f" and {len(positions) - limit} more" if len(positions) > limit else "")
