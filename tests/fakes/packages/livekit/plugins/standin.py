"""A vendor. `fault` is what it does wrong; `made` holds the objects that were made, oldest first."""

import asyncio
import os
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from livekit.agents import (  # type: ignore[import-not-found, unused-ignore]
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    llm,
    stt,
    tts,
)
from livekit.agents.stt import SpeechEventType  # type: ignore[import-not-found, unused-ignore]
from livekit.agents.types import (  # type: ignore[import-not-found, unused-ignore]
    USERDATA_TIMED_TRANSCRIPT,
    TimedString,
)
from livekit.rtc import AudioFrame  # type: ignore[import-not-found, unused-ignore]

made: list[Any] = []


class HandshakeError(Exception):
    """As aiohttp's when a WebSocket is refused."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


async def misbehave(fault: str | None) -> None:
    match fault:
        case "key":
            raise APIStatusError("bad key", 401)
        case "away":
            raise APIConnectionError("no route")
        case "handshake":
            raise APIConnectionError("no connection") from HandshakeError(403)
        case "late":
            raise APITimeoutError("too slow")
        case "nonsense":
            raise KeyError("no such field")
        case "stall":
            await asyncio.Event().wait()


class Vendor:
    def __init__(self, *, fault: str | None = None, streaming: bool = True, key: str = "", **more: Any) -> None:
        if more:
            raise TypeError(f"unexpected keyword {next(iter(more))!r}")
        if os.environ.get("STANDIN_API_KEY") is None and not key:
            raise ValueError("STANDIN_API_KEY is required")
        self.fault = fault
        self.key = key
        self.capabilities = SimpleNamespace(streaming=streaming)
        self.closed = False
        self.open_streams = 0
        made.append(self)

    async def aclose(self) -> None:
        self.closed = True


class Stream:
    """What it gives is what `_run` yields."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        vendor.open_streams += 1
        self._answers = self._run()

    def _run(self) -> AsyncIterator[Any]:
        raise NotImplementedError

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._answers

    async def aclose(self) -> None:
        self._vendor.open_streams -= 1

    async def __aenter__(self) -> "Stream":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class RecogniseStream(Stream):
    """A word for each frame; the end makes them final, in two parts. `open` leaves the stream open after that."""

    def __init__(self, vendor: Vendor) -> None:
        super().__init__(vendor)
        self._frames: asyncio.Queue[Any] = asyncio.Queue()

    def push_frame(self, frame: Any) -> None:
        assert (frame.sample_rate, frame.num_channels) == (16_000, 1)
        assert len(frame.data) == 2 * frame.samples_per_channel
        self._frames.put_nowait(frame)

    def end_input(self) -> None:
        self._frames.put_nowait(None)

    async def _run(self) -> AsyncIterator[Any]:
        await misbehave(self._vendor.fault)
        words: list[str] = []
        yield _event(SpeechEventType.START_OF_SPEECH)
        while await self._frames.get() is not None:
            words.append(f"word{len(words)}")
            yield _event(SpeechEventType.INTERIM_TRANSCRIPT, " ".join(words))
        yield _event(SpeechEventType.FINAL_TRANSCRIPT, words[0])
        yield _event(SpeechEventType.FINAL_TRANSCRIPT, " ".join(words[1:]))
        yield _event(SpeechEventType.END_OF_SPEECH)
        if self._vendor.fault == "open":
            await asyncio.Event().wait()


class STT(Vendor, stt.STT):  # type: ignore[misc, unused-ignore]
    def __init__(self, *, http_session: Any = None, **more: Any) -> None:
        super().__init__(**more)
        self.http_session = http_session

    def stream(self, *, conn_options: Any) -> RecogniseStream:
        assert conn_options.max_retry == 0
        return RecogniseStream(self)

    async def recognize(self, frame: Any, *, conn_options: Any) -> Any:
        assert conn_options.max_retry == 0
        await misbehave(self.fault)
        return _event(SpeechEventType.FINAL_TRANSCRIPT, f"{frame.samples_per_channel} samples")


class SpeechStream(Stream):
    """A tenth of a second for each word, at 22,050 Hz, stereo."""

    def __init__(self, vendor: Vendor, text: str) -> None:
        super().__init__(vendor)
        self.text = text

    def push_text(self, text: str) -> None:
        self.text += text

    def end_input(self) -> None:
        pass

    async def _run(self) -> AsyncIterator[Any]:
        await misbehave(self._vendor.fault)
        for number, word in enumerate(self.text.split(), 1):
            samples = np.full((2_205, 2), 1_000, dtype="<i2")
            frame = AudioFrame(samples.tobytes(), 22_050, 2, len(samples))
            end_time = number / 10 if self._vendor.key != "no times" else None
            frame.userdata[USERDATA_TIMED_TRANSCRIPT] = [TimedString(f"{word} ", end_time), TimedString(" ", end_time)]
            yield SimpleNamespace(frame=frame)


class TTS(Vendor, tts.TTS):  # type: ignore[misc, unused-ignore]
    sample_rate = 22_050

    def stream(self, *, conn_options: Any) -> SpeechStream:
        assert conn_options.max_retry == 0
        return SpeechStream(self, "")

    def synthesize(self, text: str, *, conn_options: Any) -> SpeechStream:
        assert conn_options.max_retry == 0
        return SpeechStream(self, f"all of {text}")


class ChatStream(Stream):
    def __init__(self, vendor: Vendor, tools: list[Any]) -> None:
        super().__init__(vendor)
        self._tools = tools

    async def _run(self) -> AsyncIterator[Any]:
        await misbehave(self._vendor.fault)
        yield SimpleNamespace(delta=SimpleNamespace(content="Let me ", tool_calls=[]))
        yield SimpleNamespace(delta=None)
        yield SimpleNamespace(delta=SimpleNamespace(content="see.", tool_calls=[]))
        for number, tool in enumerate(self._tools):
            call = SimpleNamespace(call_id=f"call_{number}", name=tool["name"], arguments="{}")
            yield SimpleNamespace(delta=SimpleNamespace(content=None, tool_calls=[call]))


class LLM(Vendor, llm.LLM):  # type: ignore[misc, unused-ignore]
    chat_ctx: Any = None

    def chat(self, *, chat_ctx: Any, tools: list[Any], conn_options: Any) -> ChatStream:
        assert conn_options.max_retry == 0
        self.chat_ctx = chat_ctx
        return ChatStream(self, tools)


def _event(kind: SpeechEventType, text: str | None = None) -> Any:
    return SimpleNamespace(type=kind, alternatives=[] if text is None else [SimpleNamespace(text=text)])
