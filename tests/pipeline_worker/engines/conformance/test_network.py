"""What every engine behind a network does when its vendor misbehaves, with the deadlines of the agent file."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest

from pipeline_worker.engines.catalog import Catalog, Engines
from pipeline_worker.engines.network import warm_up
from pipeline_worker.engines.protocols import Utterance
from shared.agent import AgentDefinition
from shared.errors import EngineError
from tests.fakes import cartesia_server, elevenlabs_server
from tests.fakes.cartesia_server import CartesiaServer, running_cartesia_server
from tests.fakes.deepgram_server import DeepgramSpeakServer, ListenFault, running_listen_server, running_speak_server
from tests.fakes.elevenlabs_server import ElevenLabsServer, running_elevenlabs_server
from tests.fakes.openai_server import Fault, running_openai_server
from tests.fakes.ports import free_port
from tests.fakes.vendor_server import KEY
from tests.fakes.vendor_server import Fault as VendorFault

FIRST_OUTPUT_S = 0.5
STALL_S = 0.4
MARGIN_S = 2.0
"""Other work on a busy machine."""

CODES = {
    "stalls": "engine_timeout",
    "stalls midway": "engine_timeout",
    "hangs up": "engine_broken",
    "hangs up midway": "engine_broken",
    "sends nonsense": "engine_broken",
    "sends nothing": "engine_broken",
    "answers 400": "engine_refused",
    "answers 401": "engine_key_refused",
    "answers 403": "engine_key_refused",
    "answers 429": "engine_busy",
    "answers 503": "engine_unavailable",
}
_VENDOR_FAULTS: Mapping[str, VendorFault] = {
    "stalls": "stall",
    "stalls midway": "stall_midway",
    "hangs up": "close",
    "hangs up midway": "close_midway",
    "sends nonsense": "malformed",
    "sends nothing": "silence",
}
_LISTEN_FAULTS: Mapping[str, ListenFault] = {
    "stalls": "stall",
    "stalls midway": "no_end",
    "hangs up": "close",
    "hangs up midway": "close_at_end",
    "sends nonsense": "malformed",
}
_OPENAI_FAULTS = {
    "stalls": Fault("stall"),
    "stalls midway": Fault("stall", after=1),
    "hangs up": Fault("close"),
    "hangs up midway": Fault("close", after=1),
    "sends nonsense": Fault("malformed", after=1),
    "sends nothing": Fault("end", after=0),
}


def _status(how: str) -> int | None:
    return int(how.removeprefix("answers ")) if how.startswith("answers ") else None


class Vendor(NamedTuple):
    """A server and its faults. `has_stopped` waits until it no longer works on what was abandoned."""

    engine: str
    base_url: str
    misbehave: Callable[[str, int], None]
    """How, and how many times."""
    behave: Callable[[], None]
    has_stopped: Callable[[], Awaitable[None]]
    drop_connections: Callable[[], Awaitable[None]]
    connections: Callable[[], int]


def _vendor(engine: str, server: CartesiaServer | DeepgramSpeakServer | ElevenLabsServer) -> Vendor:
    def misbehave(how: str, times: int) -> None:
        server.status, server.fault, server.faults_left = _status(how), _VENDOR_FAULTS.get(how), times

    async def has_stopped() -> None:
        await server.until(lambda: bool(server.cancelled if isinstance(server, CartesiaServer) else server.stopped))

    def behave() -> None:
        misbehave("well", 0)

    return Vendor(
        engine, server.base_url, misbehave, behave, has_stopped, server.drop_connections, lambda: server.connections
    )


@asynccontextmanager
async def deepgram_stt() -> AsyncIterator[Vendor]:
    async with running_listen_server(*["hello there"] * 5) as server:

        def misbehave(how: str, times: int) -> None:
            server.status, server.listen_fault = _status(how), _LISTEN_FAULTS.get(how)
            server.faulty_connections = times

        async def has_stopped() -> None:
            await server.until(lambda: server.closed_streams > 0)

        def behave() -> None:
            misbehave("well", 0)

        yield Vendor(
            *("deepgram", server.base_url, misbehave, behave),
            *(has_stopped, server.drop_connections, lambda: server.connections),
        )


@asynccontextmanager
async def deepgram_tts() -> AsyncIterator[Vendor]:
    async with running_speak_server() as server:
        yield _vendor("deepgram", server)


@asynccontextmanager
async def elevenlabs() -> AsyncIterator[Vendor]:
    async with running_elevenlabs_server() as server:
        yield _vendor("elevenlabs", server)


@asynccontextmanager
async def cartesia() -> AsyncIterator[Vendor]:
    async with running_cartesia_server() as server:
        yield _vendor("cartesia", server)


@asynccontextmanager
async def openai() -> AsyncIterator[Vendor]:
    async with running_openai_server(reply="At ten o'clock.", transcripts=["hello there"]) as server:

        def misbehave(how: str, times: int) -> None:
            if how == "sends nonsense":
                server.manner.speech_begins = b"RIFF....WAVE"
            status = _status(how)
            fault = _OPENAI_FAULTS[how] if status is None else Fault("status", status=status)
            server.faults.extend([fault] * times)

        def behave() -> None:
            server.faults.clear()
            server.manner.speech_begins = b""

        async def has_stopped() -> None:
            await server.until(lambda: server.active == 0)

        async def drop_connections() -> None:
            server.drop_connections()

        yield Vendor(
            *("openai", server.base_url, misbehave, behave),
            *(has_stopped, drop_connections, lambda: server.connections),
        )


class Engine(NamedTuple):
    section: str
    server: Callable[[], AbstractAsyncContextManager[Vendor]]
    options: dict[str, Any]


ENGINES = {
    "openai lm": Engine("language_model", openai, {"model": "m"}),
    "openai stt": Engine("speech_to_text", openai, {"model": "m", "stream": True}),
    "openai tts": Engine("text_to_speech", openai, {"model": "m", "voice": "nova"}),
    "deepgram stt": Engine("speech_to_text", deepgram_stt, {}),
    "deepgram tts": Engine("text_to_speech", deepgram_tts, {}),
    "elevenlabs tts": Engine("text_to_speech", elevenlabs, {"voice": elevenlabs_server.VOICE}),
    "cartesia tts": Engine("text_to_speech", cartesia, {"voice": cartesia_server.VOICE}),
}
CASES = [
    (name, how)
    for name in ENGINES
    for how in CODES
    if (name, how) != ("deepgram stt", "sends nothing")  # nothing was said then
]
_OTHERS = {
    "speech_to_text": "tests.load.engines.fixed_stt:FixedSpeechToTextProvider",
    "language_model": "tests.load.engines.fixed_lm:FixedLanguageModelProvider",
    "text_to_speech": "tests.load.engines.fixed_tts:FixedTextToSpeechProvider",
}


class Desk:
    """An agent with one engine of a vendor's."""

    def __init__(self, engine: Engine, vendor: Vendor) -> None:
        self._section = engine.section
        options = {**engine.options, "base_url": vendor.base_url}
        choice = {"engine": vendor.engine, "options": options, "first_output_s": FIRST_OUTPUT_S}
        sections = {section: {"engine": module} for section, module in _OTHERS.items()} | {engine.section: choice}
        agent = AgentDefinition.model_validate({"id": "desk", "name": "Desk", **sections})
        self.catalog = Catalog({"desk": agent}, STALL_S)

    async def ask(self, given: list[object], engines: Engines | None = None) -> None:
        """Append the engine's output to `given` until it ends or fails."""
        engines = engines or self.catalog.open("desk")
        match self._section:
            case "language_model":
                async for reply in engines.lm.reply([Utterance("user", "When do you open?")]):
                    given.append(reply)  # noqa: PERF401 - what came before an error counts
                await engines.lm.close()
            case "text_to_speech":
                async for piece in engines.tts.speak("We open at seven, what else?"):
                    given.append(piece)  # noqa: PERF401
            case "speech_to_text":
                stream = engines.stt.open()
                try:
                    for _ in range(5):
                        await stream.push(np.ones(4_000, dtype=np.int16))
                    recognised = await stream.finish()
                    assert recognised.text == "hello there"
                    given.append(recognised)
                finally:
                    await stream.cancel()


@asynccontextmanager
async def running(name: str) -> AsyncIterator[tuple[Desk, Vendor]]:
    engine = ENGINES[name]
    async with engine.server() as vendor:
        desk = Desk(engine, vendor)
        await desk.catalog.start()
        try:
            yield desk, vendor
        finally:
            await desk.catalog.close()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in ("DEEPGRAM", "ELEVENLABS", "CARTESIA"):
        monkeypatch.setenv(f"{vendor}_API_KEY", KEY)


@pytest.mark.parametrize(("name", "how"), CASES)
async def test_whatever_a_vendor_does_the_caller_waits_no_longer_than_the_deadline(name: str, how: str) -> None:
    async with running(name) as (desk, vendor):
        if _status(how) is not None:
            await vendor.drop_connections()  # an open one was admitted
        vendor.misbehave(how, 100)
        given: list[object] = []
        began = asyncio.get_running_loop().time()
        with pytest.raises(EngineError) as raised:
            await desk.ask(given)
        took_s = asyncio.get_running_loop().time() - began
        assert raised.value.code == CODES[how]
        assert KEY not in str(raised.value)
        if how == "stalls":
            assert took_s >= FIRST_OUTPUT_S
        if how == "stalls midway":
            assert given or "stt" in name
        elif how not in ("hangs up midway", "sends nonsense"):
            assert given == []
        assert took_s < FIRST_OUTPUT_S + STALL_S + MARGIN_S
        if how.startswith("stalls"):
            await vendor.has_stopped()
        vendor.behave()
        given.clear()
        await desk.ask(given)
        assert given


@pytest.mark.parametrize("name", ENGINES)
async def test_a_dropped_request_is_retried_once(name: str) -> None:
    async with running(name) as (desk, vendor):
        vendor.misbehave("hangs up", 1)
        given: list[object] = []
        await desk.ask(given)
        assert given


@pytest.mark.parametrize("name", ENGINES)
async def test_turns_share_a_connection_and_a_closed_one_is_replaced_silently(name: str) -> None:
    async with running(name) as (desk, vendor):
        given: list[object] = []
        for _ in range(2):
            await desk.ask(given)
        before = vendor.connections()
        # A transcript that is streamed is not read to its end: its connection may not serve again.
        assert before == 1 or name == "openai stt"
        given.clear()
        await vendor.drop_connections()
        await desk.ask(given)
        assert given
        assert vendor.connections() == before + 1


@pytest.mark.parametrize("name", ENGINES)
async def test_the_first_turn_of_a_call_does_not_wait_for_a_handshake(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor has closed what was idle since the last call."""
    monkeypatch.setattr(warm_up, "_WARM_S", 0.0)
    async with running(name) as (desk, vendor):
        await vendor.drop_connections()
        engines, *_ = (desk.catalog.open("desk") for _ in range(3))
        await warmed()
        assert vendor.connections() == 2
        await desk.ask([], engines)
        assert vendor.connections() == 2


@pytest.mark.parametrize("name", ENGINES)
async def test_an_unreachable_vendor_does_not_prevent_the_start(name: str) -> None:
    engine = ENGINES[name]
    async with engine.server() as vendor:
        desk = Desk(engine, vendor._replace(base_url=f"http://127.0.0.1:{free_port()}"))
    await desk.catalog.start()
    try:
        with pytest.raises(EngineError) as raised:
            await desk.ask([])
        assert raised.value.code == "engine_unavailable"
    finally:
        await desk.catalog.close()


async def warmed() -> None:
    """Wait until the background task has opened its connection."""
    (task,) = (task for task in asyncio.all_tasks() if task.get_name().startswith("warm-up"))
    await task
