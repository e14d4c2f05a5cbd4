"""What Redis knows of a session. Its media worker writes it, and gateways read it when a client comes back."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict

from shared.events import Resume


def _split(words: object) -> object:
    return tuple(filter(None, words.split(","))) if isinstance(words, str) else words


class SessionRecord(BaseModel):
    """The hash `shared.keys.session`. New fields have defaults."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    session: str
    agent: str
    pool: str = "default"
    media_worker: str
    generation: int = 1
    gateway: str = ""
    pipeline_worker: str = ""
    epoch: int = 0
    created_ms: int = 0
    max_duration_s: int = 3600
    resume_tokens: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    """Hashes, see `core.resume_tokens`."""
    state: str = ""
    traceparent: str = ""
    """The span that the next one of the session belongs to; empty if nothing is traced."""
    api_key: str = ""
    counted_in: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    """Keys of counters (`keys.counter`)."""
    answer_ms: int | None = None
    """How long the caller waited for the last answer; None before it, and of a media worker that does not say."""
    loss_percent: float | None = None
    """Of the packets in both directions, lately."""


class StoredEvent(NamedTuple):
    """An event as the client got it. `number` is that of its `PublishEvent`, 0 for one of the media worker's own."""

    number: int
    event: Mapping[str, Any]

    @property
    def seq(self) -> int:
        seq = self.event.get("seq")
        return seq if isinstance(seq, int) else 0


def resume_of(record: SessionRecord, events: Sequence[StoredEvent], last_seq: int) -> Resume:
    """Where the next media worker goes on, for a client that has seen the events up to `last_seq`."""
    return Resume(
        generation=record.generation + 1,
        epoch=record.epoch,
        pipeline_worker=record.pipeline_worker,
        media_worker=record.media_worker,
        seq=max([last_seq, *(stored.seq for stored in events)]),
        published=max([0, *(stored.number for stored in events)]),
    )
