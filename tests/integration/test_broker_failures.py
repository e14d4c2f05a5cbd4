"""Failures of the broker that are no outage: full memory, slow replies, slots that move, a new master, a wrong clock.

With real processes, and measured in the sound at the caller's ear. Figures are printed in the summary; the bounds are
wide, because the machine may be busy. `test_survival` has the outages.
"""

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from callers.caller import Caller
from callers.signaling import NotConnected
from deploy.embedded_broker import running_broker
from shared.audio import Pcm
from shared.io.broker import BROKER_FAILURES, connect
from shared.keys import WorkerKind
from tests.fakes.flaky_broker import FlakyBroker
from tests.fakes.own_broker import OwnBroker
from tests.fakes.redis_cluster import RealCluster, running_cluster
from tests.fakes.redis_sentinel import running_sentinel
from tests.fakes.wrong_clock import WrongClock
from tests.integration.deployment import Deployment, Service, deployed
from tests.integration.kept_sessions import holder
from tests.integration.restartable_broker import RestartableBroker
from tests.integration.speech import spoken
from tests.integration.talk import (
    AGENT,
    TEXT,
    Record,
    Talk,
    assert_sessions_go_on,
    record_replies,
    talking,
    write_agent,
)
from tests.load.heard_words import silences
from tests.load.tone_words import Account, text_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

_WORDS_OFF = 4
"""Words that may be lost, doubled or damaged where the sound breaks off."""
_HEARD_S = 1.5
_FULL_S = 4.0
"""Longer than everybody waits for others who are silent, and than the lease of a worker."""
_SLOW_S = 0.1
_GAP_S = 0.06
_SILENT_S = 0.3
_MORE_DELAY_S, _LISTENS_AFTER_S = 2.0, 1.5
"""On a busy machine; see docs/operations.md for figures."""
_LOOK_S = 15.0
_SHORT = text_of(12)
_WHOLE = Account(0, 0, 0)


class Stage(NamedTuple):
    deployment: Deployment
    talks: list[Talk]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def question() -> Pcm:
    (pcm,) = await spoken("What do you have today?")
    return pcm


@contextlib.asynccontextmanager
async def _stage(
    folder: Path,
    broker_url: str,
    question: Pcm,
    callers: int,
    *,
    text: str = TEXT,
    settings_of: Mapping[WorkerKind, Mapping[str, str]] | None = None,
) -> AsyncIterator[Stage]:
    agents = folder / "agents"
    agents.mkdir()
    write_agent(agents, text)
    async with (
        deployed(broker_url, settings_of=settings_of, ANTIPHON_AGENTS_DIR=str(agents)) as deployment,
        talking(deployment.signaling_urls, question, callers, text) as talks,
    ):
        yield Stage(deployment, talks)


@pytest.mark.timeout(120)
async def test_the_brokers_memory_is_full(tmp_path: Path, question: Pcm, record_property: Record) -> None:
    """That of our own, as `antiphon up` starts it, and that of an operator's."""
    folders = {name: tmp_path / name for name in ("ours", "an operator's")}
    for folder in folders.values():
        folder.mkdir()
    with OwnBroker(tmp_path / "broker").running() as operators:
        async with running_broker({}) as ours, asyncio.TaskGroup() as tasks:
            for (name, folder), url in zip(folders.items(), (ours, operators.url), strict=True):
                tasks.create_task(_survive_full_memory(name, folder, url, question, record_property))


async def _survive_full_memory(name: str, folder: Path, url: str, question: Pcm, record_property: Record) -> None:
    async with _stage(folder, url, question, 2) as (deployment, talks):
        listener, silent = talks
        await listener.ask()
        await listener.hear(_HEARD_S)
        at_s = _now_s()
        async with contextlib.aclosing(connect(url)) as client:
            limit = (await client.config_get("maxmemory"))["maxmemory"]
            await client.config_set("maxmemory", "100kb")
            try:
                await asyncio.sleep(_FULL_S)
                for service in deployment.services:
                    status, reason = await _readiness(service)
                    assert status == 503, service.log
                    assert "memory" in reason
                    assert await asyncio.to_thread(_get, service, "/healthz") == 200
                with pytest.raises(NotConnected) as refused:
                    async with Caller(deployment.signaling_url, AGENT):
                        pass
                assert refused.value.code == "broker_unavailable"
            finally:
                await client.config_set("maxmemory", limit or 0)
            free_s = _now_s()
        reply = await listener.reply(at_s)
        record_replies(record_property, f"{name}: full for {free_s - at_s:.1f} s while the agent speaks", reply)
        heard_s = next(word.at_s for word in listener.words() if word.at_s > free_s) - free_s
        record_property(f"{name}: heard again after", f"{heard_s:.2f} s")
        await assert_sessions_go_on(listener, silent)
        for service in deployment.services:
            assert (await _readiness(service))[0] == 200
        async with Caller(deployment.signaling_url, AGENT):
            pass
        assert listener.caller.reconnections == 0
        assert silent.caller.reconnections == 0
        assert "pipeline_lost" not in deployment.logs()
    assert max(reply.words) <= _WORDS_OFF, reply


async def test_the_broker_is_slow(tmp_path: Path, question: Pcm, record_property: Record) -> None:
    """Each reply comes 100 ms late."""
    with OwnBroker(tmp_path / "broker").running() as own:
        async with (
            FlakyBroker(own.url).running() as slow,
            _stage(tmp_path, slow.url, question, 1, text=_SHORT) as (deployment, (talk,)),
        ):
            turns, interruptions = [], []
            for delay_s in (0.0, _SLOW_S):
                slow.delay_s = delay_s / 2
                await talk.ask()
                await talk.hear(_HEARD_S)
                interruption = await talk.ask()
                silent_s = talk.caller.record.heard.silent_from(interruption.onset_s, _now_s(), _SILENT_S)
                assert silent_s is not None, "the agent listens"
                interruptions.append(silent_s - interruption.onset_s)
                reply = await talk.reply(_now_s())
                assert reply.words == _WHOLE
                turns.append(talk.words()[0].at_s - talk.asked_s)
                assert _longest_pause(talk) < _GAP_S
            for service in deployment.services:
                assert (await _readiness(service))[0] == 200
            record_property("100 ms slow, delay of a turn", _more(*turns))
            record_property("100 ms slow, until the agent listens", _more(*interruptions))
            assert turns[1] - turns[0] < _MORE_DELAY_S
            assert interruptions[1] < _LISTENS_AFTER_S


async def test_slots_move_between_the_nodes_of_a_cluster_while_ten_callers_talk(
    tmp_path: Path, question: Pcm, record_property: Record
) -> None:
    """All slots in use, twice: while the callers ask, and while the agent answers."""
    async with running_cluster(tmp_path) as cluster, _stage(tmp_path, cluster.url, question, 10) as (_, talks):
        moving = asyncio.create_task(asyncio.to_thread(_reshard, cluster, 2))
        await asyncio.gather(*(talk.ask() for talk in talks))
        assert not moving.done()
        replies = await asyncio.gather(*(talk.reply(_now_s()) for talk in talks))
        slots = await moving
        lost, doubled, strange = (sum(words) for words in zip(*(reply.words for reply in replies), strict=True))
        silence_s = max(_longest_pause(talk) for talk in talks)
        what = f"{silence_s:.2f} s of silence, words lost {lost}, doubled {doubled}, damaged {strange}"
        record_property(f"{slots} slots moved", what)
        await assert_sessions_go_on(*talks)
        assert not any(talk.caller.reconnections for talk in talks)
    assert max(lost, doubled, strange) <= _WORDS_OFF


def _reshard(cluster: RealCluster, times: int) -> int:
    """The number of moves."""
    moves = 0
    for _ in range(times):
        for slot, owner in cluster.slots_in_use().items():
            cluster.move_slot(slot, owner, (owner + 1) % 3, pause_s=0.05)
            moves += 1
    return moves


async def test_sentinel_promotes_a_replica(tmp_path: Path, question: Pcm, record_property: Record) -> None:
    async with running_sentinel(tmp_path) as sentinel, _stage(tmp_path, sentinel.url, question, 2) as (_, talks):
        listener, silent = talks
        await listener.ask()
        await listener.hear(_HEARD_S)
        at_s = _now_s()
        sentinel.kill_master()
        reply = await listener.reply(at_s)
        record_replies(record_property, "master killed while the agent speaks", reply)
        await assert_sessions_go_on(listener, silent)
        for talk in talks:
            assert await _media_worker(sentinel.url, talk.session)
        assert not any(talk.caller.reconnections for talk in talks)
    assert max(reply.words) <= _WORDS_OFF, reply


async def test_clocks_are_wrong(
    tmp_path: Path, question: Pcm, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Those of the machines differ by two minutes, and the broker's is wrong by ten after each restart."""
    clock, broker = WrongClock(tmp_path), RestartableBroker(tmp_path / "broker")
    off: dict[WorkerKind, Mapping[str, str]] = {"media": clock.by(60), "pipeline": clock.by(-60)}
    broker.start()
    try:
        async with _stage(tmp_path, broker.url, question, 2, settings_of=off) as (deployment, (listener, silent)):
            for minutes in (10, -10):
                await listener.ask()
                await listener.hear(_HEARD_S)
                at_s = _now_s()
                await asyncio.to_thread(broker.stop)
                with monkeypatch.context() as patch:
                    for name, value in clock.by(60 * minutes).items():
                        patch.setenv(name, value)
                    await asyncio.to_thread(broker.start)
                assert abs(await _clock_s(broker.url) - time.time() - 60 * minutes) < 60
                reply = await listener.reply(at_s)
                record_replies(record_property, f"restarted with a clock that is off by {minutes} min", reply)
                assert max(reply.words) <= _WORDS_OFF, reply
                async with Caller(deployment.signaling_url, AGENT) as newcomer:
                    await newcomer.wait_for_status("listening")
            await assert_sessions_go_on(listener, silent)
            assert listener.caller.reconnections == silent.caller.reconnections == 0
    finally:
        broker.stop()


async def _clock_s(broker_url: str) -> int:
    async with contextlib.aclosing(connect(broker_url)) as client:
        seconds, _ = await client.time()
        return int(seconds)


async def _media_worker(broker_url: str, session: str) -> str:
    """That has the session, by its record."""
    async with contextlib.aclosing(connect(broker_url)) as client, asyncio.timeout(_LOOK_S):
        while True:
            with contextlib.suppress(*BROKER_FAILURES):  # of a busy machine
                return await holder(client, session, "media_worker")
            await asyncio.sleep(0.1)


async def _readiness(service: Service) -> tuple[int, str]:
    """The status of `/readyz`, and the reason that it gives."""

    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{service.probe_port}/readyz", timeout=5) as reply:
                return reply.status, ""
        except urllib.error.HTTPError as error:
            with error:
                return error.code, str(json.load(error)["reason"])

    return await asyncio.to_thread(ask)


def _get(service: Service, path: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.probe_port}{path}", timeout=5) as reply:
        return int(reply.status)


def _more(normally_s: float, now_s: float) -> str:
    return f"{now_s:.2f} s, {now_s - normally_s:.2f} s more than usual"


def _longest_pause(talk: Talk) -> float:
    """Between two words that are due one after the other."""
    words = talk.words()
    return max((end_s - begin_s for begin_s, end_s in silences(words, words[0].at_s)), default=0.0)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
