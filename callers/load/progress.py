"""What the terminal shows while a load run goes on: a table with rich, or plain lines where there is no terminal."""

from typing import TextIO

from callers.load.results import LoadReport, Point, Spread, Stage

_POINT_EVERY_S = 5


class Progress:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._points = 0

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def point(self, point: Point) -> None:
        self._points += 1
        if self._points % _POINT_EVERY_S == 0:
            self.say(f"{point.at_s:6.0f} s  {point.callers_connected} of {point.callers_wanted} callers")

    def stage(self, stage: Stage) -> None:
        self.say("  ".join(f"{name} {value}" for name, value in figures(stage).items()))

    def summary(self, report: LoadReport) -> None:
        if report.callers_were_the_limit:
            self.say("The callers themselves were the limit: use more processes or hosts.")


def figures(stage: Stage) -> dict[str, str]:
    """The columns of a stage."""
    audio = stage.audio
    return {
        "callers": f"{stage.callers_connected}/{stage.callers_wanted}",
        "set-up p95": _ms(stage.set_up.total_ms),
        "first audio p95": _ms(stage.set_up.first_audio_ms),
        "mouth to ear p95": _ms(audio.mouth_to_ear_ms),
        "jitter p95": _ms(audio.jitter_ms),
        "loss": "-" if audio.loss_percent is None else f"{audio.loss_percent:.2f} %",
        "errors": ", ".join(f"{code} {count}" for code, count in sorted(stage.errors.items())) or "0",
        "callers' core": f"{stage.callers.busiest_core_share:.2f}",
    }


def _ms(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.p95:.0f} ms"
