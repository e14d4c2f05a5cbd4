"""One turn of the agent: text as it forms -> sentences -> speech -> the downlink."""

import contextlib
from collections.abc import AsyncIterator, Callable

from pipeline_worker.core.spoken_text import Heard, SentenceCutter, SpokenText
from pipeline_worker.deadlines import each_within
from pipeline_worker.downlink import Downlink
from pipeline_worker.engines.protocols import Reply, TextToSpeech


class AgentTurn:
    """`on_first_audio` is called before the first audio is sent; `on_text` with the text that begins to be heard."""

    def __init__(
        self,
        tts: TextToSpeech,
        downlink: Downlink,
        engine_timeout_s: float,
        on_first_audio: Callable[[], None],
        on_text: Callable[[str], None],
    ) -> None:
        self._tts = tts
        self._downlink = downlink
        self._engine_timeout_s = engine_timeout_s
        self._on_first_audio = on_first_audio
        self._on_text = on_text
        self._spoken = SpokenText(tts.sample_rate)
        self._sentences_shown = 0
        self._complete = False

    async def speak(self, replies: AsyncIterator[Reply]) -> bool:
        """Speak it all; True if the agent ends the call with it. Raises `EngineError`."""
        self._downlink.begin_turn()
        cutter = SentenceCutter()
        end_call = False
        async with contextlib.aclosing(each_within(self._engine_timeout_s, replies, "language model")) as pieces:
            async for piece in pieces:
                end_call = end_call or piece.end_call
                for sentence in cutter.push(piece.text):
                    await self._speak_sentence(sentence)
        for sentence in cutter.finish():
            await self._speak_sentence(sentence)
        self._complete = True
        return end_call

    def heard(self) -> Heard:
        """What the caller has heard so far."""
        heard = self._spoken.heard(self._downlink.played_up_to)
        return Heard(heard.text, heard.complete and self._complete)

    def on_playout(self) -> None:
        """The caller has heard more: the text shown follows what is heard."""
        self._show(self._spoken.begun(self._downlink.played_up_to))

    async def _speak_sentence(self, text: str) -> None:
        sentence = self._spoken.begin(text, self._downlink.position)
        speech = each_within(self._engine_timeout_s, self._tts.speak(text), "text-to-speech engine")
        async with contextlib.aclosing(speech) as pieces:
            async for piece in pieces:
                if not len(piece.samples):
                    continue
                if not self._sentences_shown:
                    self._on_first_audio()
                    self._show(1)
                sentence.add(len(piece.samples), piece.words)
                await self._downlink.send(piece.samples)
        sentence.finish()
        await self._downlink.send_rest()

    def _show(self, sentences: int) -> None:
        if sentences > self._sentences_shown:
            self._sentences_shown = sentences
            self._on_text(self._spoken.text(sentences))
