"""The shared transform before ComBat, the same at every hospital, and its inverse.

Radiomic features span scales from 1e-12 to 1e10; ComBat on them raw left more features with a hospital effect than
there were (0.55 against 0.38 of NSCLC's), after a signed log fewer (0.21).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from harmonization.arrays import Array, Sums, as_table
from harmonization.yeo_johnson import inverse_yeo_johnson, yeo_johnson

Kind = Literal["none", "signed-log", "yeo-johnson"]

_LARGEST_EXPONENT = 700.0  # exp overflows beyond 709


@dataclass(frozen=True)
class Transform:
    """One transform per table; ``location``, ``scale`` and ``powers`` are public arrays of p.

    - none: x
    - signed-log: ``sign(x) · log1p(|x|/scale)``, scale a power of ten
    - yeo-johnson: of ``(x − location)/scale`` with ``powers`` λ
    """

    kind: Kind
    location: Array
    scale: Array
    powers: Array

    def __post_init__(self) -> None:
        if self.kind not in ("none", "signed-log", "yeo-johnson"):
            raise ValueError(f"transform: expected none, signed-log or yeo-johnson, found {self.kind!r}")
        if not (self.scale > 0).all():
            raise ValueError(f"scale: expected positive numbers, found {self.scale.min()}")

    def forward(self, features: ArrayLike) -> Array:
        """The transformed table; missing cells stay missing."""
        x = as_table(features, "features")
        x = np.where(np.isfinite(x), x, np.nan)
        if self.kind == "signed-log":
            return np.sign(x) * np.log1p(np.abs(x) / self.scale)
        if self.kind == "yeo-johnson":
            return yeo_johnson((x - self.location) / self.scale, self.powers)
        return x

    def inverse(self, transformed: ArrayLike) -> Array:
        """Back to the scale the features came in; what lies beyond its reach comes back at the edge."""
        y = as_table(transformed, "transformed features")
        if self.kind == "signed-log":
            return np.sign(y) * np.expm1(np.minimum(np.abs(y), _LARGEST_EXPONENT)) * self.scale
        if self.kind == "yeo-johnson":
            return inverse_yeo_johnson(y, self.powers) * self.scale + self.location
        return y.copy()

    def to_arrays(self) -> dict[str, Any]:
        """Plain lists and words."""
        return {
            "kind": self.kind,
            "location": self.location.tolist(),
            "scale": self.scale.tolist(),
            "powers": self.powers.tolist(),
        }


def no_transform(features: int) -> Transform:
    """The features as they are."""
    return Transform("none", np.zeros(features), np.ones(features), np.ones(features))


def signed_log(scale: ArrayLike) -> Transform:
    """``sign(x) · log1p(|x|/scale)``; scale (p) from `powers_of_ten`, or ones."""
    s = np.asarray(scale, dtype=np.float64)
    return Transform("signed-log", np.zeros_like(s), s, np.ones_like(s))


def power_transform(powers: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Transform:
    """Yeo–Johnson with the λ that `harmonization.yeo_johnson.choose` found on the same location and scale."""
    location, scale, powers = (np.asarray(a, dtype=np.float64) for a in (location, scale, powers))
    return Transform("yeo-johnson", location, scale, powers)


def magnitude_sums(features: ArrayLike) -> Sums:
    """``n`` and ``magnitude`` = Σ|x| per feature, for the signed log's scale."""
    x = as_table(features, "features")
    seen = np.isfinite(x)
    return {"n": seen.sum(axis=0).astype(np.float64), "magnitude": np.where(seen, np.abs(x), 0.0).sum(axis=0)}


def powers_of_ten(total: Sums) -> Array:
    """The power of ten at or under the mean |x| of each feature; 1 where it is zero."""
    mean = total["magnitude"] / np.maximum(total["n"], 1.0)
    exponent = np.floor(np.log10(np.where(mean > 0, mean, 1.0)))
    return np.where(mean > 0, 10.0**exponent, 1.0)
