"""One call is one trace through all services, at a real OTLP/HTTP collector."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from shared.audio import Pcm
from shared.io.broker import connect
from shared.keys import WorkerKind
from tests.fakes.otlp_collector import OtlpCollector, ReceivedSpan, otlp_collector
from tests.fakes.own_broker import OwnBroker
from tests.integration.deployment import Deployment, deployed
from tests.integration.kept_sessions import holder
from tests.integration.speech import spoken
from tests.integration.talk import ANSWERED_S, Talk, talking, write_agent

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

_PATIENCE_S = 30.0
_GATEWAY, _MEDIA, _PIPELINE = "antiphon-gateway", "antiphon-media-worker", "antiphon-pipeline-worker"


class Stage(NamedTuple):
    deployment: Deployment
    collector: OtlpCollector
    question: Pcm

    async def trace(self, talk: Talk, is_whole: Callable[["Trace"], bool]) -> "Trace":
        """The spans of the talk, when all have come."""
        async with asyncio.timeout(_PATIENCE_S):
            while not is_whole(trace := Trace(self.collector.spans(), talk.session)):  # noqa: ASYNC110 (another thread)
                await asyncio.sleep(0.1)
        return trace

    async def replace(self, talk: Talk, kind: WorkerKind, field: str) -> None:
        """Another worker of this kind gets the session."""
        async with contextlib.aclosing(connect(self.deployment.broker_url)) as client, asyncio.timeout(_PATIENCE_S):
            first = await holder(client, talk.session, field)
            self.deployment.start(kind)
            await self.deployment.ready()
            self.deployment.worker(first).terminate()
            while await holder(client, talk.session, field) in ("", first):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)


class Trace:
    """The spans of one session, oldest first."""

    def __init__(self, spans: Sequence[ReceivedSpan], session: str) -> None:
        of_session = {each.span.trace_id for each in spans if each.attributes.get("session.id") == session}
        self.ids = [trace_id.hex() for trace_id in of_session]
        self.spans = sorted(
            (each for each in spans if each.span.trace_id in of_session),
            key=lambda each: each.span.start_time_unix_nano,
        )

    def named(self, name: str) -> list[ReceivedSpan]:
        return [each for each in self.spans if each.span.name == name]

    def inside(self, parent: ReceivedSpan) -> list[tuple[str, str]]:
        """(service, name) of the spans whose parent this is."""
        inner = [each for each in self.spans if each.span.parent_span_id == parent.span.span_id]
        return [(each.service, each.span.name) for each in inner]


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpCollector]:
    with otlp_collector() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    collector: OtlpCollector, broker_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    agents: Path = tmp_path_factory.mktemp("agents")
    write_agent(agents)
    async with deployed(
        broker_url,
        ANTIPHON_OTEL_ENDPOINT=collector.endpoint,
        ANTIPHON_AGENTS_DIR=str(agents),
        ANTIPHON_DRAIN_TIMEOUT_S="10",
    ) as deployment:
        (question,) = await spoken("What do you have today?")
        yield Stage(deployment, collector, question)


async def test_a_call_is_one_trace_of_three_services(stage: Stage) -> None:
    async with talking(stage.deployment.signaling_urls, stage.question, 1) as (talk,):
        await talk.ask()
        await talk.hear(ANSWERED_S)
    trace = await stage.trace(talk, lambda trace: bool(trace.named("session") and trace.named("first_audio")))

    (setup,), (media,), (session,) = (trace.named(name) for name in ("session_setup", "media_setup", "session"))
    assert setup.span.parent_span_id == b""
    assert trace.inside(setup) == [
        (_GATEWAY, "connect"),
        (_GATEWAY, "place"),
        (_GATEWAY, "answer"),
        (_MEDIA, "media_setup"),
    ]
    assert sorted(trace.inside(media)) == sorted(
        [*((_MEDIA, name) for name in ("offer", "ice", "dtls", "pipeline", "first_audio")), (_PIPELINE, "session")]
    )
    assert set(trace.inside(session)) == {(_PIPELINE, "turn")}
    turn = trace.named("turn")[-1]
    assert {name for _, name in trace.inside(turn)} >= {"endpoint", "stt_final", "llm_first_token", "first_packet"}
    assert {each.attributes.get("gen_ai.agent.id") for each in (setup, media, session)} == {"counting"}


async def test_lines_about_a_session_name_its_trace(stage: Stage) -> None:
    async with talking(stage.deployment.signaling_urls, stage.question, 1) as (talk,):
        pass
    trace = await stage.trace(talk, lambda trace: bool(trace.named("session")))
    lines = [json.loads(line) for line in stage.deployment.logs().splitlines() if line.startswith("{")]
    by_event = {line["event"]: line for line in lines if line.get("session_id") == talk.session}
    for event, service in (
        ("session_answered", "gateway"),
        ("session_set_up", "media_worker"),
        ("session_started", "pipeline_worker"),
    ):
        line = by_event[event]
        assert (line["service"], [line["trace_id"]]) == (service, trace.ids)
        assert line["worker_id"]


async def test_a_session_that_moves_and_is_handed_over_stays_in_its_trace(stage: Stage) -> None:
    async with talking(stage.deployment.signaling_urls, stage.question, 1) as (talk,):
        await stage.replace(talk, "media", "media_worker")
        await stage.replace(talk, "pipeline", "pipeline_worker")
        await talk.ask()
        await talk.hear(ANSWERED_S)
    trace = await stage.trace(talk, lambda trace: len(trace.named("session")) == len(trace.named("media_setup")) == 2)

    assert len(trace.ids) == 1
    first, second = trace.named("media_setup")
    setup = trace.named("session_setup")[-1]
    assert (setup.span.parent_span_id, second.span.parent_span_id) == (first.span.span_id, setup.span.span_id)
    assert (_PIPELINE, "session") in trace.inside(first)
    assert set(trace.inside(second)) >= {(_MEDIA, "pipeline"), (_PIPELINE, "session")}


async def test_a_collector_that_never_answers_harms_no_call_and_keeps_no_process_from_ending(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write_agent(tmp_path)
    (question,) = await spoken("What do you have today?")
    broker = OwnBroker(tmp_path_factory.mktemp("broker"))
    with broker.running(), socket.create_server(("127.0.0.1", 0)) as deaf:
        async with (
            deployed(
                broker.url,
                ANTIPHON_OTEL_ENDPOINT=f"http://127.0.0.1:{deaf.getsockname()[1]}",
                ANTIPHON_AGENTS_DIR=str(tmp_path),
                ANTIPHON_DRAIN_TIMEOUT_S="1",
            ) as deployment,
            talking(deployment.signaling_urls, question, 1) as (talk,),
        ):
            await talk.ask()
            await talk.hear(ANSWERED_S)
    assert '"event": "last_spans_lost"' in deployment.logs()
