"""What the caller sends on the data channel: parsed, rate-limited, and passed on to the pipeline worker."""

import json
from collections.abc import Callable

from prometheus_client import Counter

from media_worker.core.control_messages import Mute, Ping, Text, for_pipeline, parse_control
from media_worker.core.rate_limiter import TOO_MANY_MESSAGES
from media_worker.event_channel import EventChannel
from media_worker.pipeline_link import PipelineLink
from media_worker.uplink import Uplink
from shared.errors import PeerError
from shared.rate_limiter import RateLimiter

_TEXTS_PER_S, _TEXTS_AT_ONCE = 1, 10
"""Each text is a request to a language model, which costs money."""

_control_errors = Counter("antiphon_media_control_errors_total", "Bad messages on data channels", ["code"])
_unknown_control = Counter("antiphon_media_control_unknown_total", "Messages of unknown type on data channels")


class CallerMessages:
    """One caller's. `answer` sends on the data channel."""

    def __init__(
        self, session: str, events: EventChannel, uplink: Uplink, link: PipelineLink, answer: Callable[[str], object]
    ) -> None:
        self._session = session
        self._events = events
        self._uplink = uplink
        self._link = link
        self._answer = answer
        self._texts = RateLimiter(_TEXTS_PER_S, _TEXTS_AT_ONCE)

    def on_text(self, text: str, now: float) -> None:
        try:
            control = parse_control(text)
        except PeerError as error:
            _control_errors.labels(error.code).inc()
            self._events.publish_error(error.code, error.message)
            return
        match control:
            case None:
                _unknown_control.inc()
                return
            case Text() if not self._texts.admits(now):
                self._events.publish("error", TOO_MANY_MESSAGES)
                return
            case Mute(muted=muted):
                self._uplink.muted = muted
            case Ping(id=ping_id):
                self._answer(json.dumps({"type": "pong", "id": ping_id, "data": {"id": ping_id}}))
        message = for_pipeline(self._session, control)
        if message is not None:
            self._link.send(message)
