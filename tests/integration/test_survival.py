"""What survives what: each row of the design's table, with real processes and the sound at the caller's ear.

Figures are printed in the summary. Bounds are wide here, because the machine may be busy; the benchmark `chaos` has the
narrow ones.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from shared.audio import Pcm
from shared.keys import WorkerKind
from tests.integration.deployment import Deployment, Service, deployed
from tests.integration.restartable_broker import RestartableBroker
from tests.integration.speech import spoken
from tests.integration.talk import (
    Record,
    Reply,
    Talk,
    assert_sessions_go_on,
    record_replies,
    talking,
    write_agent,
)
from tests.load.tone_words import Account

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

_DRAIN_TIMEOUT_S = 5
_WORDS_OFF = 4
"""Words that may be lost, doubled or damaged where a worker dies in the middle of them."""
_HEARD_S = 1.5
_SPOKEN_S = 0.6
_STALE_S = 3.0
_WHOLE = Account(0, 0, 0)


class Stage(NamedTuple):
    deployment: Deployment
    broker: RestartableBroker
    question: Pcm

    def talking(self, count: int) -> AbstractAsyncContextManager[list[Talk]]:
        return talking(self.deployment.signaling_urls, self.question, count)

    async def spare(self, kind: WorkerKind) -> Service:
        """Another worker, started when all callers are at the first one."""
        service = self.deployment.start(kind)
        await self.deployment.ready()
        return service

    async def holder(self, talk: Talk, field: str) -> Service:
        return await self.deployment.holder(talk.session, field)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Two gateways, one media worker and one pipeline worker, whose drain is short."""
    agents: Path = tmp_path_factory.mktemp("agents")
    write_agent(agents)
    broker = RestartableBroker(tmp_path_factory.mktemp("broker"))
    broker.start()
    try:
        async with deployed(
            broker.url,
            gateways=2,
            ANTIPHON_AGENTS_DIR=str(agents),
            ANTIPHON_DRAIN_TIMEOUT_S=str(_DRAIN_TIMEOUT_S),
        ) as deployment:
            (question,) = await spoken("What do you have today?")
            yield Stage(deployment, broker, question)
    finally:
        broker.stop()


@pytest.mark.parametrize("fault", ["killed", "stopped"])
async def test_a_pipeline_worker_is_lost(stage: Stage, fault: str, record_property: Record) -> None:
    """One caller is listening to the agent, one is speaking, and one is silent."""
    async with stage.talking(3) as (listener, speaker, silent):
        await stage.spare("pipeline")
        victim = await stage.holder(listener, "pipeline_worker")
        await listener.ask()
        await listener.hear(_HEARD_S)
        asking = asyncio.create_task(speaker.ask())
        await asyncio.sleep(_SPOKEN_S)
        at_s = _now_s()
        victim.kill() if fault == "killed" else victim.suspend()
        await asking
        replies = [await listener.reply(at_s), await speaker.reply(at_s)]
        record_replies(record_property, "while the agent speaks, while the caller speaks", *replies)
        assert silent.words() == [], "the agent says nothing to a caller who has said nothing"
        if fault == "stopped":
            victim.carry_on()
            await asyncio.sleep(_STALE_S)
            again = await asyncio.gather(*map(_next_reply, (listener, speaker, silent)))
            assert [reply.words for reply in again] == [_WHOLE] * 3, "no word is said by two workers"
        else:
            await assert_sessions_go_on(listener, speaker, silent)
    if fault == "stopped":
        assert await asyncio.to_thread(victim.stop) == 0
    _assert_almost_whole(*replies)


async def test_a_media_worker_is_killed(stage: Stage, record_property: Record) -> None:
    """One caller is listening to the agent, and one is silent."""
    async with stage.talking(2) as (listener, silent):
        await stage.spare("media")
        victim = await stage.holder(listener, "media_worker")
        await listener.ask()
        await listener.hear(_HEARD_S)
        at_s = _now_s()
        victim.kill()
        reply = await listener.reply(at_s)
        record_replies(record_property, "while the agent speaks", reply)
        await assert_sessions_go_on(listener, silent)
        assert listener.caller.reconnections and silent.caller.reconnections
    _assert_almost_whole(reply)


async def test_the_websocket_is_cut_and_then_the_gateway_is_killed(stage: Stage, record_property: Record) -> None:
    async with stage.talking(1) as (talk,):
        signaling, replies = talk.caller.signaling, []
        for fault in ("WebSocket cut", "gateway killed"):
            url, gateway = signaling.url, stage.deployment.at(signaling.url)
            await talk.ask()
            await talk.hear(_HEARD_S)
            at_s = _now_s()
            gateway.kill() if fault == "gateway killed" else signaling.cut()
            replies.append(await talk.reply(at_s))
            record_replies(record_property, f"{fault} while the agent speaks", replies[-1])
            await talk.caller.wait_for(lambda lost=url: signaling.url != lost)  # type: ignore[misc]
        stage.deployment.start("gateway", stage.deployment.port_of(gateway))
        await assert_sessions_go_on(talk)
        assert talk.caller.reconnections == 0
        events = [event["type"] for event in talk.caller.socket_events]
        assert events.count("resumed") == 2
        assert "transcript" in events[events.index("resumed") :], "events come over the new WebSocket"
    await stage.deployment.ready()
    assert [reply.words for reply in replies] == [_WHOLE] * 2


@pytest.mark.parametrize("faults", [["away for 3 s"], ["hung for 6 s"], ["restarted", "restarted empty"]])
async def test_the_broker_fails(stage: Stage, faults: list[str], record_property: Record) -> None:
    async with stage.talking(2) as (listener, silent):
        replies = []
        for fault in faults:
            await listener.ask()
            await listener.hear(_HEARD_S)
            at_s = _now_s()
            await _break_broker(stage.broker, fault)
            away_s = _now_s() - at_s
            replies.append(await listener.reply(at_s))
            record_replies(record_property, f"{fault} while the agent speaks, away for {away_s:.1f} s", replies[-1])
        await assert_sessions_go_on(listener, silent)
        assert listener.caller.reconnections == 0, "the media went on"
    _assert_almost_whole(*replies)


async def _break_broker(broker: RestartableBroker, fault: str) -> None:
    if fault == "hung for 6 s":
        broker.suspend()
        await asyncio.sleep(6)
        broker.carry_on()
        return
    await asyncio.to_thread(broker.stop)
    if fault == "away for 3 s":
        await asyncio.sleep(3)
    await asyncio.to_thread(lambda: broker.start(empty=fault == "restarted empty"))


@pytest.mark.parametrize(
    ("kind", "field"), [("pipeline", "pipeline_worker"), ("media", "media_worker"), ("gateway", "gateway")]
)
async def test_a_process_is_drained(stage: Stage, kind: WorkerKind, field: str, record_property: Record) -> None:
    """No call is cut, and no word is lost."""
    async with stage.talking(2) as (listener, silent):
        if kind != "gateway":
            await stage.spare(kind)
        victim = await stage.holder(listener, field)
        await listener.ask()
        await listener.hear(_HEARD_S)
        at_s = _now_s()
        victim.terminate()
        reply = await listener.reply(at_s)
        record_replies(record_property, "while the agent speaks", reply)
        code = await asyncio.to_thread(victim.stop)
        await assert_sessions_go_on(listener, silent)
    if kind == "gateway":
        stage.deployment.start("gateway", stage.deployment.port_of(victim))
        await stage.deployment.ready()
    assert code == 0
    _assert_almost_whole(reply)


@pytest.mark.timeout(120)
async def test_afterwards_only_the_keys_of_live_workers_are_left(stage: Stage) -> None:
    assert await stage.deployment.leftovers() == []


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _next_reply(talk: Talk) -> Reply:
    at_s = _now_s()
    await talk.ask()
    return await talk.reply(at_s)


def _assert_almost_whole(*replies: Reply) -> None:
    for reply in replies:
        assert max(reply.words) <= _WORDS_OFF, reply
