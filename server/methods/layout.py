"""Which columns of the design ComBat takes for covariates, which features it harmonises, and which together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.study import Study
from harmonization.groups import harmonisation_groups
from harmonization.splines import SmoothTerm, with_splines


@dataclass(frozen=True)
class Layout:
    """Which columns of the design are covariates and which features are harmonised together."""

    names: tuple[str, ...]
    covariates: tuple[int, ...]
    features: tuple[int, ...]
    incomplete: tuple[int, ...]
    groups: tuple[int, ...]
    group_names: tuple[str, ...]
    smooth: Mapping[str, Any]

    @property
    def harmonised_features(self) -> tuple[int, ...]:
        """Complete features, then those with gaps: the order in which parameters hold them."""
        return (*self.features, *self.incomplete)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features by name, in that order."""
        return tuple(self.names[j] for j in self.harmonised_features)


def lay_out(
    study: Study,
    names: tuple[str, ...],
    features: tuple[str, ...],
    incomplete: frozenset[str],
    left_out: frozenset[str] = frozenset(),
) -> Layout:
    """Find the covariates and features among the design's columns; what is left out is no covariate."""
    chosen = study.harmonisation
    preserved = [c for name in study.preserved() for c in study.variable(name).columns(name)]
    covariates = [c for c in preserved if c not in left_out]
    numbers = {name: j for j, name in enumerate(names)}
    ordered = [f for f in features if f not in incomplete] + [f for f in features if f in incomplete]
    groups = harmonisation_groups(ordered, shape_too=chosen.shape_too)
    return Layout(
        names=names,
        covariates=tuple(numbers[c] for c in covariates),
        features=tuple(numbers[f] for f in ordered if f not in incomplete),
        incomplete=tuple(numbers[f] for f in ordered if f in incomplete),
        groups=tuple(int(g) for g in groups.group),
        group_names=groups.labels,
        smooth={
            str(numbers[name]): term.model_dump() for name, term in chosen.smooth.items() if name in covariates
        },
    )


def expanded_covariates(layout: Layout) -> tuple[tuple[str, ...], np.ndarray]:
    """The covariates' names after spline expansion, and the penalty matrix over them."""
    names = [str(number) for number in layout.covariates]
    smooth = {n: SmoothTerm(tuple(t["knots"]), t["penalty"]) for n, t in layout.smooth.items()}
    _, expanded, penalty = with_splines(np.zeros((1, len(names))), names, smooth)
    readable = []
    for name in expanded:
        number, colon, rest = name.partition(":")
        readable.append(f"{layout.names[int(number)]}{colon}{rest}")
    return tuple(readable), penalty
