"""What is harmonised together, read off the features' names.

Names are PyRadiomics' own (``original_shape_MeshVolume``, ``wavelet-LLH_firstorder_Mean``) or carry what they were
measured on in front (``arterial_tumour_log-sigma-2-0-mm-3D_glszm_ZoneEntropy``): modality, sequence or phase, and
last the region.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmonization.parameters import NOT_HARMONISED

CLASSES = ("shape2D", "shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
_FILTER = (
    r"original|wavelet2?-[A-Za-z]+|log-sigma-[0-9-]+-mm-[23]D|square|squareroot|logarithm|exponential|gradient"
    r"|lbp-2D|lbp-3D-(?:m[0-9]+|k)"
)
_NAME = re.compile(
    rf"^(?:(?P<front>.+)_)?(?P<filter>{_FILTER})_(?P<kind>{'|'.join(CLASSES)})_(?P<feature>[A-Za-z0-9]+)$"
)
_VOLUME = re.compile(r"volume", re.IGNORECASE)


@dataclass(frozen=True)
class FeatureName:
    """A radiomic feature's name in its parts; ``phase`` also holds modality or sequence, parts may be empty."""

    phase: str
    region: str
    filter: str
    kind: str
    feature: str


@dataclass(frozen=True)
class FeatureGroups:
    """``group`` (p): the number of each feature's group, −1 is left alone; ``labels``: the groups' names."""

    group: NDArray[np.int64]
    labels: tuple[str, ...]
    left_alone: tuple[str, ...]


def parse(name: str) -> FeatureName | None:
    """The parts of a radiomic feature's name, or None where it is no such name."""
    match = _NAME.match(name)
    if match is None:
        return None
    front = (match["front"] or "").split("_")
    return FeatureName("_".join(front[:-1]), front[-1], match["filter"], match["kind"], match["feature"])


def harmonisation_groups(names: Sequence[str], *, shape_too: bool = False) -> FeatureGroups:
    """Features of one phase and region form a group.

    Names that are not PyRadiomics' form one group. Left alone, unless ``shape_too``: shape and volume, whose
    differences between hospitals are case mix.
    """
    labels: dict[str, int] = {}
    group = np.full(len(names), NOT_HARMONISED, dtype=np.int64)
    for j, name in enumerate(names):
        if not shape_too and is_shape_or_volume(name):
            continue
        parts = parse(name)
        front = (parts.phase, parts.region) if parts else ()
        label = "_".join(part for part in front if part) or "all"
        group[j] = labels.setdefault(label, len(labels))
    alone = tuple(name for name, number in zip(names, group, strict=True) if number == NOT_HARMONISED)
    return FeatureGroups(group, tuple(labels), alone)


def is_shape_or_volume(name: str) -> bool:
    """Whether a feature describes the region's form or size."""
    parts = parse(name)
    if parts is None:
        return bool(_VOLUME.search(name))
    return parts.kind.startswith("shape") or bool(_VOLUME.search(parts.feature))
