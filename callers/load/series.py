"""The time series of a run, in bounded memory however long it lasts."""

from collections import Counter

from callers.load.results import Point

MOST_POINTS = 3600


class Series:
    """A point for each second, at first. When it is full, each two neighbours become one, for all that follow too."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._stride = 1
        self._points: list[Point] = []
        self._pending: list[Point] = []

    @property
    def points(self) -> list[Point]:
        return [*self._points, *([_merged(self._pending)] if self._pending else [])]

    def add(self, point: Point) -> None:
        self._pending.append(point)
        if len(self._pending) < self._stride:
            return
        self._points.append(_merged(self._pending))
        self._pending = []
        if len(self._points) >= self._most:
            pairs = zip(self._points[::2], self._points[1::2], strict=False)
            rest = self._points[len(self._points) // 2 * 2 :]
            self._points = [_merged(list(pair)) for pair in pairs]
            self._pending = rest
            self._stride *= 2


def _merged(points: list[Point]) -> Point:
    """The worst figures, all moves and errors, and the number of callers and the server's load at the end."""
    first, last = points[0], points[-1]
    errors: Counter[str] = Counter()
    for point in points:
        errors.update(point.errors)
    return Point(
        at_s=first.at_s,
        callers_wanted=last.callers_wanted,
        callers_connected=last.callers_connected,
        set_up_p50_ms=_highest([point.set_up_p50_ms for point in points]),
        set_up_p95_ms=_highest([point.set_up_p95_ms for point in points]),
        mouth_to_ear_p50_ms=_highest([point.mouth_to_ear_p50_ms for point in points]),
        mouth_to_ear_p95_ms=_highest([point.mouth_to_ear_p95_ms for point in points]),
        loss_percent=_highest([point.loss_percent for point in points]),
        caller_lateness_p95_ms=_highest([point.caller_lateness_p95_ms for point in points]),
        callers_busiest_core_share=_highest([point.callers_busiest_core_share for point in points]),
        moves=sum(point.moves for point in points),
        errors=dict(errors),
        server=next((point.server for point in reversed(points) if point.server is not None), None),
    )


def _highest(figures: list[float | None]) -> float | None:
    return max((figure for figure in figures if figure is not None), default=None)
