"""Line plots as SVG text, for a page without scripts. Colours are classes of the page's style."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 460, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 16, 26
MOST_POINTS = 400
"""Per line; a longer one keeps the highest of each group of neighbours, so that no peak is lost."""


class Line(NamedTuple):
    """`style`: classes such as `c1 dashed`. A None in `points` is a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]
    style: str

    @property
    def known(self) -> list[float]:
        return [y for _, y in self.points if y is not None]


class Plot(NamedTuple):
    """`unit` is empty for what is counted. `beyond`: stretches of the x axis that are shaded, beyond the knee.
    `edges`: where levels begin.
    """

    title: str
    unit: str
    lines: Sequence[Line]
    x_unit: str
    knee: float | None = None
    knee_words: str = ""
    beyond: Sequence[tuple[float, float]] = ()
    edges: Sequence[float] = ()
    dots: bool = False
    from_y: float = 0.0
    """The least that the y axis shows."""

    @property
    def is_empty(self) -> bool:
        return not any(line.known for line in self.lines)


def number(value: float) -> str:
    """Three digits are enough: 0.05, 1.2, 35, 1,234."""
    if value == 0:
        return "0"
    magnitude = abs(value)
    if magnitude >= 100 or value == round(value):
        return f"{value:,.0f}"
    text = f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}" if magnitude >= 0.1 else f"{value:.3f}"
    return text.rstrip("0").rstrip(".")


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from at most `low` to at least `high`."""
    span = max(high - low, 1e-9)
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 10) for index in range(first, max(last, first + 1) + 1)]


def thinned(points: Sequence[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    group = math.ceil(len(points) / MOST_POINTS)
    if group <= 1:
        return list(points)
    groups = [points[begin : begin + group] for begin in range(0, len(points), group)]
    return [max(part, key=lambda point: -math.inf if point[1] is None else point[1]) for part in groups]


def svg(plot: Plot) -> str:
    """An image with title and description. An empty plot has axes only."""
    return "".join(_Drawing(plot).parts())


class _Drawing:
    def __init__(self, plot: Plot) -> None:
        self._plot = plot
        xs = [x for line in plot.lines for x, _ in line.points] or [0.0, 1.0]
        self._x_low = min(xs) if plot.dots else 0.0
        self._x_high = max(max(xs), self._x_low + 1e-9)
        if plot.dots and len(set(xs)) == 1:
            self._x_low, self._x_high = xs[0] - 1, xs[0] + 1
        highest = max((y for line in plot.lines for y in line.known), default=0.0)
        self._y_ticks = ticks(plot.from_y, highest if highest > plot.from_y else plot.from_y + 1)

    def parts(self) -> list[str]:
        plot = self._plot
        described = "; ".join(
            f"{line.name} up to {number(max(line.known))} {plot.unit}" for line in plot.lines if line.known
        )
        return [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{escape(plot.title)}</title><desc>{escape(described)}</desc>",
            *self._grid(),
            *self._marks(),
            *(self._line(line) for line in plot.lines),
            "</svg>",
        ]

    def _x(self, x: float) -> float:
        share = (x - self._x_low) / (self._x_high - self._x_low)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def _y(self, y: float) -> float:
        low, high = self._y_ticks[0], self._y_ticks[-1]
        share = (y - low) / (high - low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    def _grid(self) -> list[str]:
        end, foot = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        parts = []
        for tick in self._y_ticks:
            if not self._plot.unit and tick != round(tick):
                continue  # there is no half of a caller or of an error
            y = self._y(tick)
            parts.append(f'<path class="grid" d="M{_LEFT} {y}H{end}"/>')
            parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5}" text-anchor="end">{number(tick)}</text>')
        shown = [tick for tick in ticks(self._x_low, self._x_high, 5) if self._x_low <= tick <= self._x_high]
        for tick in shown:
            x, last = self._x(tick), tick == shown[-1]
            words = f"{number(tick)} {escape(self._plot.x_unit)}" if last else number(tick)
            at, anchor = (min(x + 10, end), "end") if last and x > end - 30 else (x, "middle")
            parts.append(f'<path class="axis" d="M{x} {foot}v4"/>')
            parts.append(f'<text class="tick" x="{at}" y="{foot + 16}" text-anchor="{anchor}">{words}</text>')
        parts.append(f'<path class="axis" d="M{_LEFT} {foot}H{end}"/>')
        return parts

    def _marks(self) -> list[str]:
        plot, foot = self._plot, HEIGHT - _BOTTOM
        parts = [f'<path class="edge" d="M{self._x(edge)} {_TOP}V{foot}"/>' for edge in plot.edges]
        for begin, end in plot.beyond:
            x, width = self._x(begin), max(1.0, self._x(end) - self._x(begin))
            parts.append(f'<rect class="beyond" x="{x}" y="{_TOP}" width="{width:.1f}" height="{foot - _TOP}"/>')
        if plot.knee is not None and self._x_low <= plot.knee <= self._x_high:
            x = self._x(plot.knee)
            anchor, shift = ("end", 4) if x > WIDTH * 0.7 else ("middle", 0)
            parts.append(f'<path class="knee" d="M{x} {_TOP}V{foot}"/>')
            parts.append(
                f'<text class="knee-words" x="{x + shift}" y="{_TOP - 5}" text-anchor="{anchor}">'
                f"{escape(plot.knee_words)}</text>"
            )
        return parts

    def _line(self, line: Line) -> str:
        path, pen_down = [], False
        alone: list[tuple[float, float]] = []
        points = thinned(line.points)
        for index, (x, y) in enumerate(points):
            if y is None:
                pen_down = False
                continue
            at = self._x(x), self._y(y)
            path.append(f"{'L' if pen_down else 'M'}{at[0]} {at[1]}")
            last = index + 1 == len(points) or points[index + 1][1] is None
            if not pen_down and last:
                alone.append((x, y))  # a line of one point would not be seen
            pen_down = True
        dots = [(x, y) for x, y in points if y is not None] if self._plot.dots else alone
        circles = "".join(self._dot(line.name, x, y) for x, y in dots)
        return f'<g class="line {line.style}"><path d="{"".join(path)}"/>{circles}</g>' if path else ""

    def _dot(self, name: str, x: float, y: float) -> str:
        plot = self._plot
        words = escape(f"{name}: {number(y)} {plot.unit} at {number(x)} {plot.x_unit}")
        radius = 2.6 if plot.dots else 2
        return f'<circle cx="{self._x(x)}" cy="{self._y(y)}" r="{radius}"><title>{words}</title></circle>'
