"""Callers' speech for tests, as a microphone would record it: eSpeak NG voices other than the agent's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from pipeline_worker.engines.espeak_ng.text_to_speech import EspeakOptions, EspeakTextToSpeech
from pipeline_worker.engines.helper.process import HelperProcess
from pipeline_worker.engines.resampling import resampled
from shared.audio import UPLINK_RATE, Pcm

HELPER = "pipeline_worker.engines.espeak_ng.helper"
_ROOM_BEFORE = UPLINK_RATE // 5
_ROOM_AFTER = UPLINK_RATE * 6 // 10
_ROOM_NOISE = 20
"""-64 dBFS."""


class Caller:
    def __init__(self, helper: HelperProcess, voice: str, rate: int, pitch: int) -> None:
        options = EspeakOptions(voice=voice, rate=rate, pitch=pitch)
        self._tts = EspeakTextToSpeech(helper, options)
        self._random = np.random.default_rng(1)

    async def says(self, text: str) -> Pcm:
        """16 kHz, at half of full scale, with a quiet room before and after."""
        spoken = np.concatenate([piece.samples async for piece in self._tts.speak(text)])
        speech = resampled(spoken, self._tts.sample_rate, UPLINK_RATE) * 0.5
        in_room = np.concatenate((np.zeros(_ROOM_BEFORE), speech, np.zeros(_ROOM_AFTER)))
        heard: Pcm = (in_room + self._random.normal(0, _ROOM_NOISE, len(in_room))).clip(-32768, 32767).astype(np.int16)
        return heard


@asynccontextmanager
async def caller(voice: str = "en-us+m3", rate: int = 170, pitch: int = 45) -> AsyncIterator[Caller]:
    helper = HelperProcess(HELPER, name="eSpeak NG")
    try:
        yield Caller(helper, voice, rate, pitch)
    finally:
        await helper.close()
