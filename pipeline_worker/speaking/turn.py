"""One turn of the agent: text as it forms -> sentences -> speech -> the downlink."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import NamedTuple, TypeVar

from pipeline_worker.engines.protocols import Reply, TextToSpeech
from pipeline_worker.speaking.downlink import Downlink
from pipeline_worker.speaking.spoken_text import Heard, SpokenSentence, SpokenText
from pipeline_worker.text.sentences import SentenceSplitter

T = TypeVar("T")


@contextlib.asynccontextmanager
async def given_up(outputs: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """An engine's outputs, which are given up at the end if there are more."""
    try:
        yield outputs
    finally:
        if isinstance(outputs, AsyncGenerator):
            await outputs.aclose()


def _nothing() -> None:
    pass


class TurnNews(NamedTuple):
    """Whom a turn tells what happens."""

    on_first_audio: Callable[[], None]
    """Called before the first audio is sent."""
    on_text: Callable[[str], None]
    """The words that were heard so far, whenever there are more."""
    on_reply: Callable[[], None] = _nothing
    """A piece of the reply has come."""
    on_audio: Callable[[], None] = _nothing
    """A piece of its speech has come; it may not be sent yet."""


class AgentTurn:
    """`prepared`: nothing is heard of it, and it does not end, before `release`."""

    def __init__(
        self, tts: TextToSpeech, downlink: Downlink, language: str, news: TurnNews, prepared: bool = False
    ) -> None:
        self._tts = tts
        self._downlink = downlink
        self._news = news
        self.released = asyncio.Event()
        if not prepared:
            self.released.set()
        self._spoken = SpokenText(tts.sample_rate, language)
        self._began = False
        self._shown = ""
        self._complete = False

    def release(self) -> None:
        self.released.set()

    async def speak(self, replies: AsyncIterator[Reply]) -> bool:
        """Speak it all; True if the agent ends the call with it. Raises `EngineError`."""
        self._downlink.begin_turn()
        cutter = SentenceSplitter()
        end_call = False
        async with given_up(replies) as pieces:
            async for piece in pieces:
                self._news.on_reply()
                end_call = end_call or piece.end_call
                for sentence in cutter.push(piece.text):
                    await self._speak_sentence(sentence)
        for sentence in cutter.finish():
            await self._speak_sentence(sentence)
        await self.released.wait()
        self._complete = True
        return end_call

    async def add(self, text: str) -> None:
        """After `speak` has failed, speak this. Raises `EngineError`."""
        await self._downlink.send_rest()
        cutter = SentenceSplitter()
        for sentence in (*cutter.push(text), *cutter.finish()):
            await self._speak_sentence(sentence)

    def heard(self) -> Heard:
        """What the caller has heard so far."""
        heard = self._spoken.heard(self._downlink.played_up_to)
        return Heard(heard.text, heard.complete and self._complete)

    def on_playout(self) -> None:
        """The caller has heard more: the text shown follows what is heard."""
        text = self._spoken.heard(self._downlink.played_up_to).text
        if text != self._shown:
            self._shown = text
            self._news.on_text(text)

    async def _speak_sentence(self, text: str) -> None:
        sentence = self._spoken.begin(text, self._downlink.position)
        if sentence.spoken:
            await self._synthesise(sentence)
        sentence.finish()

    async def _synthesise(self, sentence: SpokenSentence) -> None:
        async with given_up(self._tts.speak(sentence.spoken)) as pieces:
            async for piece in pieces:
                if not len(piece.samples):
                    continue
                self._news.on_audio()
                await self._begin()
                sentence.add(len(piece.samples), piece.words)
                await self._downlink.send(piece.samples)
        await self._downlink.send_rest()

    async def _begin(self) -> None:
        if self._began:
            return
        await self.released.wait()
        self._began = True
        self._news.on_first_audio()
