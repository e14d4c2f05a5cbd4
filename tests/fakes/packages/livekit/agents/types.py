"""Words with their times."""

from typing import Any

USERDATA_TIMED_TRANSCRIPT = "lk.timed_transcripts"
NOT_GIVEN: Any = object()


class TimedString(str):
    end_time: Any

    def __new__(cls, text: str, end_time: Any = NOT_GIVEN) -> "TimedString":
        made = super().__new__(cls, text)
        made.end_time = end_time
        return made
