"""What extraction gives back: rows of features, and what the regions came out as."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RegionRecord:
    """What a region came out as: for the hospital's own check, never sent.

    Parameters
    ----------
    kept
        The share of the geometric region that exclusions left.
    excluded
        The share that each exclusion took.
    residual_mm
        How far off the region may be whose masks were carried from another phase; None: drawn on this one.
    """

    phase: str
    lesion: int
    region: str
    voxels: int
    volume_mm3: float
    kept: float
    excluded: dict[str, float]
    notes: tuple[str, ...]
    residual_mm: float | None = None


@dataclass(frozen=True)
class Row:
    """The features of one lesion (0: all tumours merged), named <phase>_<region>_<filter>_<class>_<feature>.

    Parameters
    ----------
    measurement
        Empty for the measurement that studies use; another name for a repetition, e.g. a second reader's.
    """

    lesion: int
    values: dict[str, float]
    measurement: str = ""


@dataclass(frozen=True)
class Extraction:
    """A patient's features: one row, or a row each lesion; NaN is a feature that is not defined here."""

    rows: list[Row]
    regions: list[RegionRecord] = field(default_factory=list)
