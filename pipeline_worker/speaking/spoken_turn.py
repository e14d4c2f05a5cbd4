"""One turn of the agent: text as it forms -> sentences -> speech -> the downlink."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from pipeline_worker.engines.protocols import Reply, TextToSpeech
from pipeline_worker.speaking.downlink import Downlink
from pipeline_worker.speaking.spoken_text import Heard, SpokenText
from pipeline_worker.telemetry.turn_meter import TurnMeter
from pipeline_worker.text.sentences import SentenceSplitter, split_sentences
from pipeline_worker.turns.memory import TurnMemory
from shared.io.logs import get_logger

_MAX_WAITING = 100
"""Sentences that are read ahead."""
MAX_CHARACTERS = 10_000
"""Of a reply: ten minutes of speech. What a model writes beyond that is not read."""

log = get_logger()


class SpokenTurn:
    """A `prepared` turn is not heard, and does not end, before `released` is set."""

    def __init__(
        self,
        tts: TextToSpeech,
        downlink: Downlink,
        language: str,
        meter: TurnMeter,
        on_first_audio: Callable[[], object],
        prepared: bool = False,
        is_answer: bool = True,
        before: str = "",
        on_progress: Callable[[bool], object] = lambda sentence_began: None,
    ) -> None:
        """`on_first_audio` is called before the first audio is sent. `before` is what was heard of the turn from
        another worker. `on_progress` is called when `memory` has changed."""
        self._tts = tts
        self._downlink = downlink
        self._meter = meter
        self._on_first_audio = on_first_audio
        self.released = asyncio.Event()
        if not prepared:
            self.released.set()
        self.interrupted = False
        """The caller has taken the floor."""
        self._language = language
        self._is_answer = is_answer
        self._before = before
        self._on_progress = on_progress
        self._spoken = SpokenText(tts.sample_rate, language)
        self._splitter = SentenceSplitter()
        self._waiting: deque[str] = deque()
        """Sentences that are not begun yet."""
        self._more = asyncio.Event()
        self._spoken_one = asyncio.Event()
        self._known = False
        """The whole text is known."""
        self._end_call = False
        self._began = False
        self._shown = before
        self._complete = False

    async def speak(self, replies: AsyncGenerator[Reply, None]) -> bool:
        """Speak all of `replies`. True if the agent ends the call after it. Raises `EngineError`."""
        self._downlink.begin_turn()
        reading = asyncio.create_task(self._read(replies))
        reading.add_done_callback(lambda _: self._more.set())
        try:
            while self._waiting or not reading.done():
                self._more.clear()
                await self._speak_waiting()
                if not reading.done():
                    await self._more.wait()
            reading.result()
        finally:
            reading.cancel()
            await asyncio.wait({reading})
        await self.released.wait()
        self.conclude()
        return self._end_call

    def conclude(self) -> None:
        """Nothing more is to be said."""
        self._known = self._complete = True
        self._on_progress(False)

    async def add(self, text: str) -> None:
        """Speak `text` after `speak` has failed. Raises `EngineError`."""
        await self._downlink.send_rest()
        self._waiting = deque(split_sentences(text))
        self._known = True
        await self._speak_waiting()

    def heard(self) -> Heard:
        """What the caller has heard so far."""
        heard = self._spoken.heard(self._downlink.played_up_to)
        return Heard(f"{self._before} {heard.text}".strip(), heard.complete and self._complete)

    def memory(self) -> TurnMemory:
        heard, sentences = self._spoken.memory(self._downlink.played_up_to)
        waiting = " ".join([*self._waiting, self._splitter.rest.strip()]).strip()
        return TurnMemory(
            sample_rate=self._tts.sample_rate,
            language=self._language,
            is_answer=self._is_answer,
            before=f"{self._before} {heard}".strip(),
            sentences=sentences,
            waiting=waiting,
            complete=self._known or (not self._is_answer and bool(heard or sentences or waiting)),
            end_call=self._end_call,
            interrupted=self.interrupted,
        )

    def newly_heard(self) -> str | None:
        """The words that the caller has heard so far, if there are more than at the last call."""
        text = self.heard().text
        if text == self._shown:
            return None
        self._shown = text
        return text

    async def _read(self, replies: AsyncGenerator[Reply, None]) -> None:
        """Reads ahead of the speech, so that another worker can say the rest if this one is lost."""
        left = MAX_CHARACTERS
        async with aclosing(replies):
            async for reply in replies:
                self._meter.llm_first_token()
                self._end_call = self._end_call or reply.end_call
                self._waiting.extend(self._splitter.push(reply.text[:left]))
                self._more.set()
                left -= len(reply.text)
                if left < 0:
                    log.warning("reply_cut", session_id=self._downlink.session, characters=MAX_CHARACTERS)
                    break
                if self._waiting:
                    await self.released.wait()  # a discarded reply is not generated to its end
                while len(self._waiting) > _MAX_WAITING:
                    self._spoken_one.clear()
                    await self._spoken_one.wait()
        self._waiting.extend(self._splitter.finish())
        self._known = True
        self._on_progress(False)

    async def _speak_waiting(self) -> None:
        while self._waiting:
            await self._speak_sentence(self._waiting.popleft())
            self._spoken_one.set()

    async def _speak_sentence(self, text: str) -> None:
        sentence = self._spoken.begin(text, self._downlink.position)
        self._on_progress(True)
        if sentence.spoken:
            async with aclosing(self._tts.speak(sentence.spoken)) as pieces:
                async for piece in pieces:
                    if not len(piece.samples):
                        continue
                    self._meter.tts_first_audio()
                    if not self._began:
                        await self.released.wait()
                        self._began = True
                        self._on_first_audio()
                    sentence.add(len(piece.samples), piece.words)
                    self._on_progress(False)
                    await self._downlink.send(piece.samples)
            await self._downlink.send_rest()
        sentence.finish()
        self._on_progress(False)
