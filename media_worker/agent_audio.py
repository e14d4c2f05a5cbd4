"""The pipeline worker's commands over the agent's audio, and what happens when one of them is lost."""

from collections.abc import Callable

from media_worker.downlink import Downlink
from shared.events import (
    AgentSpeechEnded,
    EndSession,
    FlushPlayout,
    PausePlayout,
    PipelineMessage,
    ResumePlayout,
)

FAREWELL_STILL_S = 4.0
"""A session that is to end after playout ends when nothing was played for so long: the end of speech was lost."""
SETTLE_S = 2.0
"""Playout that stands still after messages were lost goes on after this time."""


class AgentAudio:
    """`close` ends the session and gets the reason."""

    def __init__(self, downlink: Downlink, close: Callable[[str], None]) -> None:
        self._downlink = downlink
        self._close = close
        self._end_reason: str | None = None
        """Why the session ends after playout."""
        self._gap_s: float | None = None
        """When messages of the pipeline worker were lost."""

    def on_command(self, message: PipelineMessage) -> None:
        match message:
            case AgentSpeechEnded(end_sample=end_sample):
                self._downlink.end_at(end_sample)
            case FlushPlayout():
                self._downlink.flush()
            case PausePlayout():
                self._downlink.pause()
            case ResumePlayout():
                self._downlink.resume()
            case EndSession(reason=reason, after_playout=after_playout):
                if after_playout and not self._downlink.is_idle:
                    self._end_reason = reason
                else:
                    self._close(reason)

    def on_ended(self) -> None:
        """Playing has ended."""
        if self._end_reason is not None:
            self._close(self._end_reason)

    def on_gap(self, now: float) -> None:
        """Messages of the pipeline worker were lost. It gets to know where playout is."""
        self._gap_s = now
        self._downlink.report_now()

    def take_over(self, replaces: bool) -> int:
        """Another pipeline worker has attached. Returns what the caller has heard of the one that it `replaces`."""
        self._gap_s = None
        return self._downlink.restart() if replaces else self._downlink.played_up_to

    def tend(self, now: float) -> None:
        """Notice playout that stands still. Call it a few times a second."""
        still_s = self._downlink.still_s(now)
        if self._end_reason is not None and still_s > FAREWELL_STILL_S:
            self._close(self._end_reason)
        if self._gap_s is not None and min(still_s, now - self._gap_s) > SETTLE_S:
            self._gap_s = None
            self._downlink.settle()
