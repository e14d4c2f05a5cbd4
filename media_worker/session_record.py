"""What a session keeps in Redis, as far as it is this media worker's to write: see `session_store`, `session_index`."""

from typing import Any

from media_worker.core.pipeline_guard import PipelineGuard
from media_worker.session_index import SessionIndex
from media_worker.session_store import SessionStore
from shared.events import GatewayAttached, OpenSession, Resume


class SessionRecord:
    """`opening` is the gateway's message, kept up to date."""

    def __init__(self, opening: OpenSession, media_worker: str, store: SessionStore, index: SessionIndex) -> None:
        self.opening = opening
        self.resume = opening.resume or Resume(generation=1)
        self._media_worker = media_worker
        self._store = store
        self._index = index
        self.leads = self.resume.media_worker == media_worker
        """Whether the session is ours: once the caller is connected, or from the start if it was ours before."""

    @property
    def previous_media_worker(self) -> str:
        """Another one that may still have the session; empty if there is none."""
        return "" if self.resume.media_worker == self._media_worker else self.resume.media_worker

    def begin(self) -> None:
        """The session is open: from now on it counts."""
        self._index.add(self.opening.session, self.resume.generation, self.opening.counted_in)

    def save(self, guard: PipelineGuard) -> None:
        """Write everything that another media worker would go on from."""
        opening = self.opening
        record = {
            "agent": opening.agent_id,
            "pool": opening.pool,
            "media_worker": self._media_worker,
            "generation": str(self.resume.generation),
            "gateway": opening.gateway,
            "pipeline_worker": guard.worker,
            "epoch": str(guard.epoch),
            "created_ms": str(opening.created_ms),
            "max_duration_s": str(opening.max_duration_s),
            "resume_tokens": ",".join(opening.resume_tokens),
            "api_key": opening.api_key,
            "counted_in": ",".join(opening.counted_in),
            "traceparent": opening.traceparent,
            "state": "running" if guard.worker else "reconnecting" if guard.epoch else "starting",
        }
        if self.leads:
            self._store.save(opening.session, self.resume.generation, record)
            self._index.enlist(opening.session, self.resume.generation, opening.created_ms)

    def measure(self, **figures: float) -> None:
        """How the call is, for operators: fields of the record that may be written a few seconds late."""
        fields = {name: str(figure) for name, figure in figures.items()}
        self._store.measure(self.opening.session, self.resume.generation, fields)

    def add_event(self, event: dict[str, Any], number: int) -> None:
        """An event for clients that come back. `number` is the one that the pipeline worker gave it."""
        if self.leads:
            self._store.add_event(self.opening.session, self.resume.generation, event, number)

    def attach_gateway(self, message: GatewayAttached) -> None:
        update = {"gateway": message.gateway, "resume_tokens": message.resume_tokens}
        self.opening = self.opening.model_copy(update=update)

    def detach_gateway(self, gateway: str) -> bool:
        """False if the client is at another gateway by now."""
        if gateway != self.opening.gateway:
            return False
        self.opening = self.opening.model_copy(update={"gateway": ""})
        return True

    def end(self, moved: bool, orphaned: bool) -> None:
        """Delete everything, or leave it to the media worker that the session `moved` to.

        `orphaned`: there is no pipeline worker, which would delete the conversation.
        """
        elsewhere = moved or (not self.leads and self.opening.resume is not None)
        self._index.remove(self.opening.session, self.resume.generation, elsewhere)
        if moved:
            self._store.forget(self.opening.session, self.resume.generation)
        elif self.leads:
            self._store.delete(self.opening.session, self.resume.generation, orphaned)
        self.leads = False
