"""The hospital's own picture of its harmonisation: densities of its patients, before and after. It never leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from common.whole_files import whole

BEFORE, AFTER, FEDERATION = "#d55e00", "#0072b2", "#6b7680"
SHOWN, COLUMNS = 6, 3


@dataclass(frozen=True)
class Moved:
    """One feature of the hospital's own patients, and the federation's mean and standard deviation of it."""

    name: str
    before: np.ndarray
    after: np.ndarray
    mean: float
    spread: float

    @property
    def by(self) -> float:
        """How far harmonisation moved the hospital, in the federation's standard deviations."""
        return abs(float(np.mean(self.after) - np.mean(self.before))) / self.spread


def draw_densities(features: Sequence[Moved], path: Path) -> None:
    """The features that were moved farthest, as an SVG that is there whole or not at all; the same bytes each time.

    Nothing is written where no feature varies.
    """
    varying = [f for f in features if f.spread > 0 and np.ptp(f.before) > 0 and np.ptp(f.after) > 0]
    chosen = sorted(varying, key=lambda f: (-f.by, f.name))[:SHOWN]
    if not chosen:
        return
    # Ids within the drawing come from this salt and not from chance; text stays text.
    mpl.rcParams["svg.hashsalt"], mpl.rcParams["svg.fonttype"] = "hepafed", "none"
    rows = -(-len(chosen) // COLUMNS)
    height = 1.1 + 2.5 * rows
    figure = Figure(figsize=(11, height))
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    figure.subplots_adjust(
        left=0.02, right=0.98, top=1 - 0.65 / height, bottom=0.7 / height, wspace=0.08, hspace=0.35
    )
    for axis, feature in zip(axes, chosen, strict=False):
        _panel(axis, feature)
    for axis in axes[len(chosen) :]:
        axis.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
    figure.suptitle("This hospital's patients before and after harmonisation: the features moved farthest")
    with whole(path) as file:
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": "hepafed"})


def _panel(axis: Axes, feature: Moved) -> None:
    """Two densities over the federation's mean ± one standard deviation."""
    values = np.concatenate([feature.before, feature.after, [feature.mean - 2 * feature.spread]])
    ends = values.min(), max(values.max(), feature.mean + 2 * feature.spread)
    grid = np.linspace(ends[0] - 0.05 * np.ptp(ends), ends[1] + 0.05 * np.ptp(ends), 160)
    axis.axvspan(
        feature.mean - feature.spread,
        feature.mean + feature.spread,
        color=FEDERATION,
        alpha=0.15,
        label="federation: mean ± SD",
    )
    axis.axvline(feature.mean, color=FEDERATION, linewidth=1)
    for own, colour, style, label in (
        (feature.before, BEFORE, "--", "own, before"),
        (feature.after, AFTER, "-", "own, after"),
    ):
        axis.plot(grid, gaussian_kde(own)(grid), color=colour, linestyle=style, linewidth=1.8, label=label)
    axis.set_title(feature.name, fontsize=8)
    axis.set_yticks([])
    axis.tick_params(labelsize=7)
