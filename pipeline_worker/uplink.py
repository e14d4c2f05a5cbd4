"""The caller's audio: time line -> voice activity -> talkspurts -> utterances, and their sound to the transcription."""

from collections import deque
from collections.abc import Callable

import numpy as np
from prometheus_client import Counter

from pipeline_worker.core.endpointing import Endpointing, UtteranceEnded, UtteranceStarted
from pipeline_worker.core.talkspurts import HANGOVER_MS, ONSET_MS, SpeechSustained, TalkspurtEvent, Talkspurts
from pipeline_worker.core.timeline import Silence, Sound, Timeline
from pipeline_worker.core.turn_events import Input, TimeExceeded
from pipeline_worker.engines.protocols import VoiceActivityDetector
from pipeline_worker.transcription import Transcription
from shared.agent import AgentDefinition
from shared.audio import UPLINK_RATE, Pcm, as_samples, samples_in
from shared.frames import AudioFrame, SilenceRun

_PRE_ROLL_MS = 300
"""Recognisers want a little quiet before the first sound, and detectors see soft onsets late."""

_unusable = Counter("antiphon_uplink_unusable_total", "Audio frames that are late, repeated or not 16 kHz mono")


class Uplink:
    """Tells `on_input` what the caller does. All times are the caller's own samples."""

    def __init__(
        self,
        agent: AgentDefinition,
        vad: VoiceActivityDetector,
        transcription: Transcription,
        on_input: Callable[[Input], None],
    ) -> None:
        self._vad = vad.open()
        self._transcription = transcription
        self._on_input = on_input
        self._timeline = Timeline()
        self._talkspurts = Talkspurts(vad.chunk_samples, agent.turn_taking.barge_in_ms)
        self._endpointing = Endpointing(agent.turn_taking.endpointing_ms)
        self._hangover = samples_in(HANGOVER_MS, UPLINK_RATE) + vad.chunk_samples
        self._recent: deque[Pcm] = deque()
        self._recent_samples = 0
        self._recent_kept = samples_in(_PRE_ROLL_MS + ONSET_MS, UPLINK_RATE) + 2 * vad.chunk_samples
        self._time_left = agent.limits.max_duration_s * UPLINK_RATE

    async def take(self, item: AudioFrame | SilenceRun) -> None:
        """What the media worker sent. Raises `EngineError` if the voice activity detector fails."""
        if item.sample_rate != UPLINK_RATE or (isinstance(item, AudioFrame) and item.channels != 1):
            _unusable.inc()
            return
        stretches = self._timeline.accept(item)
        if not stretches:
            _unusable.inc()
        for stretch in stretches:
            match stretch:
                case Sound(_, pcm):
                    await self._listen(as_samples(pcm))
                case Silence(_, samples):
                    await self._pass(samples)

    def close(self) -> None:
        self._vad.close()

    async def _listen(self, samples: Pcm) -> None:
        self._spend(len(samples))
        self._remember(samples)
        if self._endpointing.open:
            self._transcription.push(samples)
        for probability in await self._vad.push(samples):
            self._advance(self._talkspurts.push(probability))

    async def _pass(self, samples: int) -> None:
        """Silence: the detector hears as much of it as it needs to notice, the rest is only counted."""
        heard = min(samples, self._hangover) if self._talkspurts.speaking or self._endpointing.open else 0
        if heard:
            await self._listen(np.zeros(heard, dtype=np.int16))
        if samples > heard:
            self._spend(samples - heard)
            self._recent.clear()
            self._recent_samples = 0
            self._advance(self._talkspurts.skip(samples - heard))

    def _advance(self, events: list[TalkspurtEvent]) -> None:
        for event in events:
            for utterance_event in self._endpointing.handle(event):
                if isinstance(utterance_event, UtteranceStarted):
                    self._transcription.begin(self._pre_roll(utterance_event.at_sample))
            if isinstance(event, SpeechSustained):
                self._on_input(event)
        for ended in self._endpointing.advance(self._talkspurts.decided_up_to):
            if isinstance(ended, UtteranceEnded):
                self._on_input(ended)

    def _remember(self, samples: Pcm) -> None:
        self._recent.append(samples)
        self._recent_samples += len(samples)
        while self._recent_samples - len(self._recent[0]) >= self._recent_kept:
            self._recent_samples -= len(self._recent.popleft())

    def _pre_roll(self, at_sample: int) -> Pcm:
        """The recent sound from a little before `at_sample`."""
        since = self._talkspurts.position - at_sample + samples_in(_PRE_ROLL_MS, UPLINK_RATE)
        recent = np.concatenate(self._recent) if self._recent else np.zeros(0, dtype=np.int16)
        return recent[-since:]

    def _spend(self, samples: int) -> None:
        if self._time_left > 0:
            self._time_left -= samples
            if self._time_left <= 0:
                self._on_input(TimeExceeded())
