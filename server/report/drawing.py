"""A small SVG drawing board: every text escaped, every number rounded, so that bytes do not change by run."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

Anchor = Literal["start", "middle", "end"]
Marker = Literal["circle", "square", "diamond"]

INK, SOFT, FAINT, PAPER = "#1b2733", "#5b6875", "#d5dbe1", "#ffffff"
# Okabe and Ito's blue and vermilion, and grey: told apart with every kind of colour vision and by lightness.
BLUE, ORANGE, PURPLE, GREY = "#0072b2", "#d55e00", "#aa4499", "#6b7680"


@dataclass(frozen=True)
class Scale:
    """From a quantity to places on the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value, kept within the scale."""
        within = min(max(value, self.low), self.high)
        return self.start + (within - self.low) / (self.high - self.low) * (self.end - self.start)


class Drawing:
    """An SVG picture with a title and a description for those who cannot see it."""

    def __init__(self, width: float, height: float, title: str, description: str, name: str) -> None:
        self._parts: list[Markup] = []
        self._head = Markup(
            '<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-labelledby="{}-title {}-desc" '
            'font-size="12" fill="{}"><title id="{}-title">{}</title><desc id="{}-desc">{}</desc>'
        ).format(_n(width), _n(height), _n(width), _n(height), name, name, INK, name, title, name, description)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str = INK, width: float = 1, dash: str = ""
    ) -> None:
        """A straight line."""
        self._parts.append(
            Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="{}"{}/>').format(
                _n(x1), _n(y1), _n(x2), _n(y2), colour, _n(width), _dash(dash)
            )
        )

    def path(self, points: Iterable[tuple[float, float]], colour: str, width: float = 2, dash: str = "") -> None:
        """Straight lines from point to point."""
        places = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="{}"{}/>').format(
                places, colour, _n(width), _dash(dash)
            )
        )

    def box(self, x: float, y: float, width: float, height: float, fill: str = PAPER, edge: str = SOFT) -> None:
        """A rectangle with soft corners."""
        self._parts.append(
            Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="3" fill="{}" stroke="{}"/>').format(
                _n(x), _n(y), _n(width), _n(height), fill, edge
            )
        )

    def mark(self, kind: Marker, x: float, y: float, colour: str, radius: float = 4, hollow: bool = False) -> None:
        """A data point; the shape tells what the colour tells."""
        fill = PAPER if hollow else colour
        if kind == "circle":
            shape = Markup('<circle cx="{}" cy="{}" r="{}"').format(_n(x), _n(y), _n(radius))
        elif kind == "square":
            side = radius * 1.8
            shape = Markup('<rect x="{}" y="{}" width="{}" height="{}"').format(
                _n(x - side / 2), _n(y - side / 2), _n(side), _n(side)
            )
        else:
            r = radius * 1.35
            corners = ((x, y - r), (x + r, y), (x, y + r), (x - r, y))
            shape = Markup('<polygon points="{}"').format(" ".join(f"{_n(a)},{_n(b)}" for a, b in corners))
        self._parts.append(shape + Markup(' fill="{}" stroke="{}" stroke-width="1.5"/>').format(fill, colour))

    def text(
        self,
        x: float,
        y: float,
        words: str,
        anchor: Anchor = "start",
        colour: str = INK,
        size: float = 12,
        bold: bool = False,
        longest: int | None = None,
    ) -> None:
        """A line of text; a longer one loses its middle, and is shown whole on hovering."""
        shown = words if longest is None or len(words) <= longest else _shortened(words, longest)
        whole = Markup("<title>{}</title>").format(words) if shown != words else ""
        weight = Markup(' font-weight="600"') if bold else ""
        self._parts.append(
            Markup('<text x="{}" y="{}" text-anchor="{}" font-size="{}" fill="{}"{}>{}{}</text>').format(
                _n(x), _n(y), anchor, _n(size), colour, weight, whole, shown
            )
        )

    def upright(self, x: float, y: float, words: str) -> None:
        """A line of text that reads from bottom to top."""
        self._parts.append(
            Markup('<text transform="translate({} {}) rotate(-90)" text-anchor="middle">{}</text>').format(
                _n(x), _n(y), words
            )
        )

    def markup(self) -> Markup:
        """The picture, to be put into a page."""
        return self._head + Markup("\n").join([Markup(""), *self._parts, Markup("</svg>")])


def _shortened(words: str, longest: int) -> str:
    """Beginning and end: names of one family differ in either."""
    end = longest // 3
    return f"{words[: longest - end - 1]}…{words[-end:]}"


def _dash(dash: str) -> Markup:
    return Markup(' stroke-dasharray="{}"').format(dash) if dash else Markup("")


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") or "0"
