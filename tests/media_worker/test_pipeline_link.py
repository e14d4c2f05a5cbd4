"""What a session's link to its pipeline worker does with what it hears of the broker."""

from typing import Any, cast

from media_worker.core.pipeline_guard import PipelineGuard
from media_worker.pipeline_jobs import PipelineJobs
from media_worker.pipeline_link import PipelineCallbacks, PipelineLink
from shared.events import StartPipeline
from shared.io.outbox import Outbox
from shared.liveness import Liveness


class Nobody:
    """A broker to which everything goes, and from which nothing comes."""

    def ask(self, *_: object) -> None: ...

    def withdraw(self, *_: object, **__: object) -> None: ...

    def send(self, *_: object) -> None: ...


def test_a_caller_who_waits_for_an_agent_is_not_sent_away_because_the_broker_hangs() -> None:
    given_up: list[str] = []
    liveness = Liveness()
    nobody = cast(Any, Nobody())
    job = StartPipeline(session="s1", agent_id="echo", media_worker="m1")
    callbacks = PipelineCallbacks(lambda: None, lambda code, _: given_up.append(code))
    link = PipelineLink(
        PipelineGuard(8.0, 30.0), job, cast(PipelineJobs, nobody), cast(Outbox, nobody), liveness, callbacks
    )
    liveness.on_read(0.0)
    link.begin(0.0)
    for step in range(1, 240):
        link.check(step / 4)
    assert given_up == []
    for step in range(240, 280):
        liveness.on_read(step / 4)
        link.check(step / 4)
    assert given_up == ["no_pipeline"]
