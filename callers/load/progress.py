"""What the terminal shows while a load run goes on: a table by rich, or plain lines where there is no terminal."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Self, TextIO

from rich.box import SIMPLE
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from callers.load.results import Point, Spread, Stage
from shared.terminal_text import escaped

_POINT_EVERY_S = 5
_COLUMNS = (
    "callers",
    "set-up p95",
    "audio p95",
    "mouth to ear p95",
    "jitter p95",
    "loss",
    "MOS",
    "errors",
    "core",
)


class Progress:
    """While it is entered. What has been measured stays on the screen only after an error: else the report says it."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._rows: list[tuple[str, ...]] = []
        self._points = 0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._live is not None:
            self._live.transient = error is None
            self._show("")
            self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(escaped(text), markup=False)

    def point(self, point: Point) -> None:
        self._points += 1
        now = _now(point)
        if self._live is not None:
            self._show(now)
        elif self._points % _POINT_EVERY_S == 0:
            self.say(now)

    def stage(self, stage: Stage) -> None:
        row = tuple(_row(stage))
        self._rows.append(row)
        if self._live is None:
            self.say("; ".join(f"{name} {value}" for name, value in zip(_COLUMNS, row, strict=True)))

    def _show(self, now: str) -> None:
        assert self._live is not None
        table = Table(box=SIMPLE, padding=(0, 1), pad_edge=False)
        for name in _COLUMNS:
            table.add_column(name, min_width=max(map(len, name.split())))
        for row in self._rows:
            table.add_row(*map(Text, row))
        lines = "\n".join(wrap(now, self._console.width))
        self._live.update(Group(table, Text(lines)) if now else table, refresh=True)


def _now(point: Point) -> str:
    shown = {
        "set-up p95": _ms(point.set_up_p95_ms),
        "mouth to ear p95": _ms(point.mouth_to_ear_p95_ms),
        "loss": _percent(point.loss_percent),
        "errors": str(sum(point.errors.values())),
        "callers' core": _share(point.callers_busiest_core_share),
    }
    figures = "; ".join(f"{name} {value}" for name, value in shown.items())
    return f"{point.at_s:5.0f} s: {point.callers_connected} of {point.callers_wanted} callers; {figures}"


def _row(stage: Stage) -> Iterator[str]:
    audio = stage.audio
    yield f"{stage.callers_connected} of {stage.callers_wanted}"
    yield _p95(stage.set_up.total_ms)
    yield _p95(stage.set_up.first_audio_ms)
    yield _p95(audio.mouth_to_ear_ms)
    yield _p95(audio.jitter_ms)
    yield _percent(audio.loss_percent)
    yield "-" if audio.mos is None else f"{audio.mos.p50:.2f}"
    yield str(stage.error_count)
    yield _share(stage.callers.busiest_core_share)


def _p95(spread: Spread | None) -> str:
    return _ms(None if spread is None else spread.p95)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} %"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
