"""One turn of the agent: text as it forms -> sentences -> speech -> the downlink."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from pipeline_worker.engines.protocols import Reply, TextToSpeech
from pipeline_worker.speaking.downlink import Downlink
from pipeline_worker.speaking.spoken_text import Heard, SpokenText
from pipeline_worker.telemetry.turn_meter import TurnMeter
from pipeline_worker.text.sentences import SentenceSplitter, split_sentences


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
    ) -> None:
        """`on_first_audio` is called before the first audio is sent."""
        self._tts = tts
        self._downlink = downlink
        self._meter = meter
        self._on_first_audio = on_first_audio
        self.released = asyncio.Event()
        if not prepared:
            self.released.set()
        self._spoken = SpokenText(tts.sample_rate, language)
        self._began = False
        self._shown = ""
        self._complete = False

    async def speak(self, replies: AsyncGenerator[Reply, None]) -> bool:
        """Speak all of `replies`. True if the agent ends the call after it. Raises `EngineError`."""
        self._downlink.begin_turn()
        splitter = SentenceSplitter()
        end_call = False
        async with aclosing(replies):
            async for reply in replies:
                self._meter.llm_first_token()
                end_call = end_call or reply.end_call
                for sentence in splitter.push(reply.text):
                    await self._speak_sentence(sentence)
        for sentence in splitter.finish():
            await self._speak_sentence(sentence)
        await self.released.wait()
        self._complete = True
        return end_call

    async def add(self, text: str) -> None:
        """Speak `text` after `speak` has failed. Raises `EngineError`."""
        await self._downlink.send_rest()
        for sentence in split_sentences(text):
            await self._speak_sentence(sentence)

    def heard(self) -> Heard:
        """What the caller has heard so far."""
        heard = self._spoken.heard(self._downlink.played_up_to)
        return Heard(heard.text, heard.complete and self._complete)

    def newly_heard(self) -> str | None:
        """The words that the caller has heard so far, if there are more than at the last call."""
        text = self.heard().text
        if text == self._shown:
            return None
        self._shown = text
        return text

    async def _speak_sentence(self, text: str) -> None:
        sentence = self._spoken.begin(text, self._downlink.position)
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
                    await self._downlink.send(piece.samples)
            await self._downlink.send_rest()
        sentence.finish()
