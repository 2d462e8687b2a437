"""The patient flow as a drawing, with exclusions of one to four patients suppressed.

results.json holds a range where subtracting two steps would tell one to four patients (server/results/small_cells.py);
every exclusion beside such a box is then a range too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from common.query import SMALLEST_CELL
from server.report import words
from server.report.drawing import FAINT, INK, SOFT, Drawing
from server.report.numerals import SUPPRESSED, whole

_BOX_WIDTH, _BOX_HEIGHT, _GAP = 330, 44, 26
_SIDE_X, _SIDE_WIDTH = 385, 310


@dataclass(frozen=True)
class Step:
    """A box of the flow and what was left out on the way to it."""

    title: str
    patients: str
    reason: str
    left_out: str


def steps_of(results: Mapping[str, Any]) -> list[Step]:
    """The flow from the hospitals' files to the patients that the model was fitted to."""
    flow = dict(results["flow"])
    if not results["study"]["content"]["predictors"].get("radiomics"):
        flow.pop("with_features", None)
    if not results["study"]["content"].get("cohort", {}).get("include"):
        flow.pop("met_criteria", None)
    counts = [(*words.FLOW.get(name, (name, name)), _limits(n)) for name, n in flow.items()]
    if len(counts) > 1 and counts[-1][2] == counts[-2][2]:  # the last step left nobody out: one box for both
        counts[-2:] = [(counts[-1][0], *counts[-2][1:])]
    if results["lost"]:
        stayed = _limits(results["cohort"]["patients"])
        counts.append(("Hospitals that stayed to the end", "of a hospital that was lost", stayed))
    steps = []
    for k, (title, reason, shown) in enumerate(counts):
        left_out = _difference(counts[k - 1][2], shown) if k else ""
        steps.append(Step(title, _range(*shown), reason, left_out))
    return steps


def draw_flow(results: Mapping[str, Any]) -> Markup:
    """Boxes from top to bottom; what was left out stands at the right."""
    steps = steps_of(results)
    height = len(steps) * (_BOX_HEIGHT + _GAP) - _GAP + 4
    drawing = Drawing(700, height, "Patient flow", describe(steps), "flow")
    middle = 2 + _BOX_WIDTH / 2
    for k, step in enumerate(steps):
        top = 2 + k * (_BOX_HEIGHT + _GAP)
        last = k == len(steps) - 1
        if k:
            branch = top - _GAP / 2
            drawing.line(middle, top - _GAP, middle, top, SOFT)
            drawing.path([(middle - 4, top - 6), (middle, top - 1), (middle + 4, top - 6)], SOFT, 1)
            nobody = step.left_out == "0"
            drawing.line(middle, branch, _SIDE_X, branch, FAINT if nobody else SOFT)
            drawing.box(_SIDE_X, branch - 13, _SIDE_WIDTH, 26, edge=FAINT if nobody else SOFT)
            colour = SOFT if nobody else INK
            drawing.text(_SIDE_X + 12, branch + 4, f"{step.left_out}: {step.reason}", colour=colour, longest=48)
        drawing.box(2, top, _BOX_WIDTH, _BOX_HEIGHT, fill="#e8f1f8" if last else "#ffffff")
        drawing.text(middle, top + 18, step.title, "middle", longest=50)
        drawing.text(middle, top + 36, f"n = {step.patients}", "middle", size=13, bold=True)
    return drawing.markup()


def describe(steps: Sequence[Step]) -> str:
    """The flow in words."""
    parts = [f"{steps[0].title}: {steps[0].patients}"]
    parts += [f"{step.title}: {step.patients} ({step.left_out} left out: {step.reason})" for step in steps[1:]]
    return "; ".join(parts) + "."


def _limits(shown: int | Mapping[str, int]) -> tuple[int, int]:
    """A number of the flow, or the range that stands for it (server/results/small_cells.py)."""
    return (shown, shown) if isinstance(shown, int) else (shown["at_least"], shown["at_most"])


def _difference(above: tuple[int, int], below: tuple[int, int]) -> str:
    low, high = max(0, above[0] - below[1]), above[1] - below[0]
    return SUPPRESSED if low < high < SMALLEST_CELL else _range(low, high)


def _range(low: int, high: int) -> str:
    return whole(low) if low == high else f"{whole(low)} to {whole(high)}"
