"""A session's connection to its pipeline worker: asks for one, accepts it alone, and replaces it when it is lost."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import Counter

from media_worker.core.pipeline_guard import Asked, Decision, GivenUp, Lost, PipelineGuard, Verdict
from media_worker.core.recent_frames import RecentFrames
from media_worker.pipeline_jobs import PipelineJobs
from shared import keys
from shared.events import Message, PipelineMessage, SessionClosed, StartPipeline, TextReceived
from shared.frames import AudioFrame, SilenceRun
from shared.io.logs import get_logger
from shared.io.outbox import Outbox
from shared.liveness import Liveness

_stale = Counter("antiphon_media_stale_epoch_total", "Items of a pipeline worker that is not the session's")
_lost = Counter("antiphon_media_pipelines_lost_total", "Pipeline workers that fell silent, counted for each session")
_asked = Counter("antiphon_media_pipelines_asked_total", "Requests for a pipeline worker", ["why"])
_attached = Counter("antiphon_media_pipelines_attached_total", "Pipeline workers that attached to a session", ["how"])

_TEXTS_KEPT = 10

_APOLOGIES = {
    "no_pipeline": "No agent is free to answer. Try again later.",
    "pipeline_lost": "The agent has failed repeatedly. Try again later.",
}

log = get_logger()


class PipelineCallbacks(NamedTuple):
    """What a `PipelineLink` tells its session."""

    on_lost: Callable[[], None]
    """There is no pipeline worker now; another one was asked for."""
    on_given_up: Callable[[str, str], None]
    """The session has to end: a code, and a message for the caller."""
    on_asked: Callable[[str], None] = lambda _: None
    """A worker was asked for, and why."""
    on_attached: Callable[[str], None] = lambda _: None
    """This worker serves the session now."""


class PipelineLink:
    """`job` is the request for a pipeline worker but for its epoch."""

    def __init__(
        self,
        guard: PipelineGuard,
        job: StartPipeline,
        jobs: PipelineJobs,
        outbox: Outbox,
        liveness: Liveness,
        callbacks: PipelineCallbacks,
    ) -> None:
        self.guard = guard
        self._job = job
        self._jobs = jobs
        self._outbox = outbox
        self._liveness = liveness
        self._callbacks = callbacks
        self._recent = RecentFrames()
        self._texts: deque[TextReceived] = deque(maxlen=_TEXTS_KEPT)
        """The last that the attached worker was sent."""
        self._texts_sent = 0
        self._texts_waiting: deque[TextReceived] = deque(maxlen=_TEXTS_KEPT)
        """Typed while no worker was attached."""
        self._remember, self._send = self._recent.add, outbox.send  # bound once, for each frame
        self.inbox = keys.inbox("pipeline", guard.worker) if guard.worker else ""
        """Key of the pipeline worker's inbox; empty while there is none."""
        self._log = log.bind(session_id=job.session)

    def begin(self, now: float) -> None:
        """The caller is connected: ask for a worker, or watch the one that the session has already."""
        worker = self.guard.worker
        if worker:
            self._jobs.taken(self._job.session, self._job.pool, worker)
            self._liveness.expect(worker)
            if self._liveness.is_lost(worker):
                self._liveness.on_heard(worker)  # it was silent because it had nothing to say to us
        self._act(self.guard.begin(now))

    def check(self, now: float) -> None:
        """Notice that the worker is lost, or that none comes. Call it a few times a second."""
        liveness, worker = self._liveness, self.guard.worker
        self._act(self.guard.check(now, bool(worker) and liveness.is_lost(worker), liveness.is_deaf(now)))

    def forget(self, worker: str, now: float) -> None:
        """That worker does not have the session (any more), for example because it waited too long for us."""
        self._act(self.guard.on_gone(worker, now))

    def leave(self) -> None:
        """The worker drains."""
        self._act(self.guard.on_leaving())

    def attach(self, worker: str, epoch: int) -> Verdict:
        """Send to this worker from now on. A worker that is refused gets `SessionClosed`; one that had asked to leave
        and attaches again stays."""
        before, epoch_before = self.guard.worker, self.guard.epoch
        verdict = self.guard.on_attached(worker, epoch)
        if verdict == "refused":
            self._dismiss(worker, epoch)
        elif verdict == "repeated":
            self._jobs.taken(self._job.session, self._job.pool, worker)
        else:
            if before not in ("", worker):
                self._dismiss(before, epoch_before)
            _attached.labels("handed_over" if before else "taken_over" if epoch_before else "first").inc()
            self._callbacks.on_attached(worker)
            self._log.info("pipeline_attached", pipeline_worker=worker, epoch=epoch, before=before)
            self._jobs.taken(self._job.session, self._job.pool, worker)
            self._texts.clear()
            self._liveness.expect(worker)
            self.inbox = keys.inbox("pipeline", worker)
        return verdict

    def accepts(self, item: AudioFrame | PipelineMessage, sender: str) -> bool:
        """False for what another worker sent; that is counted, and the sender of a message is told."""
        if self.guard.accepts(sender, item.epoch):
            return True
        _stale.inc()
        if isinstance(item, PipelineMessage):
            self._dismiss(sender, item.epoch)
        return False

    def send(self, message: Message) -> None:
        """Dropped while no pipeline worker is attached, except typed texts: see `send_waiting`."""
        if not self.inbox:
            if isinstance(message, TextReceived):
                self._texts_waiting.append(message)
            return
        if type(message) is TextReceived:  # `isinstance` of a pydantic model is slow
            self._texts_sent += 1
            message = message.model_copy(update={"number": self._texts_sent})
            self._texts.append(message)
        self._outbox.send(self.inbox, message)

    def send_frame(self, frame: AudioFrame | SilenceRun) -> None:
        self._remember(frame)
        if self.inbox:
            self._send(self.inbox, frame)

    def send_waiting(self) -> None:
        """The worker knows that the caller is connected: send what they have typed meanwhile."""
        waiting = [*self._texts_waiting]
        self._texts_waiting.clear()
        for text in waiting:
            self.send(text)

    def repeat_texts(self, after: int) -> None:
        """Send the texts after that number again: they were lost on the way."""
        for text in self._texts:
            if text.number > after:
                self._outbox.send(self.inbox, text)

    def repeat_frames(self, first_sample: int) -> None:
        """Send what is kept of the caller's audio from that sample on."""
        for frame in self._recent.since(first_sample):
            self._outbox.send(self.inbox, frame._replace(epoch=self.guard.epoch))

    def end(self) -> None:
        """The session ends soon: it needs no other worker."""
        self.guard.end()
        self._jobs.ended(self._job.session)

    def _act(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Lost(worker=worker, epoch=epoch):
                    _lost.inc()
                    self._log.warning("pipeline_lost", pipeline_worker=worker, epoch=epoch)
                    self.inbox = ""
                    self._dismiss(worker, epoch)
                    self._callbacks.on_lost()
                case Asked(epoch=epoch, resumed=resumed):
                    self._ask(epoch, resumed)
                case GivenUp(code=code):
                    self._callbacks.on_given_up(code, _APOLOGIES[code])

    def _ask(self, epoch: int, resumed: bool) -> None:
        why = "leaving" if self.guard.worker else "lost" if resumed else "first"
        _asked.labels(why).inc()
        self._log.info("pipeline_asked", epoch=epoch, why=why)
        self._callbacks.on_asked(why)
        job = self._job.model_copy(update={"epoch": epoch, "resumed": resumed})
        self._jobs.ask(job, self._on_look)

    def _on_look(self, waiting: bool, now: float) -> None:
        self._act(self.guard.on_look(waiting, now))

    def _dismiss(self, worker: str, epoch: int) -> None:
        closed = SessionClosed(session=self._job.session, reason="replaced", epoch=epoch)
        self._outbox.send(keys.inbox("pipeline", worker), closed)
