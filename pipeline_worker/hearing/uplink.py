"""The caller's audio: time line -> voice activity -> talkspurts -> utterances, and their sound to the transcription."""

from collections import deque
from collections.abc import Callable

import numpy as np
from prometheus_client import Counter

from pipeline_worker.engines.protocols import VoiceActivityDetector
from pipeline_worker.hearing.endpointing import Endpointing, UtteranceEvent
from pipeline_worker.hearing.reassembly import Silence, Sound, Timeline
from pipeline_worker.hearing.talkspurts import HANGOVER_MS, ONSET_MS, SpeechEvent, Talkspurts, TalkspurtStarted
from pipeline_worker.hearing.transcription import Transcription
from pipeline_worker.turns.events import (
    Input,
    InterimText,
    SpeechProlonged,
    SpeechSustained,
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.table import TurnTaking
from pipeline_worker.turns.timers import TurnTimers
from shared.agent import AgentDefinition
from shared.audio import UPLINK_RATE, Pcm, as_samples, samples_in
from shared.frames import AudioFrame, SilenceRun

_PRE_ROLL_MS = 300
"""Recognisers want a little quiet before the first sound, and detectors see soft onsets late."""

_RELEASE_TAIL = samples_in(60, UPLINK_RATE)
"""Audio comes later than messages do, by what the jitter buffer and the codec take."""

_unusable = Counter("antiphon_uplink_unusable_total", "Audio frames that are late, repeated or not 16 kHz mono")


class Uplink:
    """Tells `on_input` what the caller does. All times are the caller's own samples."""

    def __init__(
        self,
        agent: AgentDefinition,
        vad: VoiceActivityDetector,
        transcription: Transcription,
        turns: TurnTaking,
        on_input: Callable[[Input], object],
    ) -> None:
        self._vad = vad.open()
        self._transcription = transcription
        self._turns = turns
        self._on_input = on_input
        self.by_button = agent.turn_taking.mode == "push_to_talk"
        self._timeline = Timeline()
        self._timers = TurnTimers(agent)
        self._talkspurts = Talkspurts(vad.chunk_samples, agent.turn_taking.barge_in_ms, vad.tail_samples)
        self._endpointing = Endpointing(agent.turn_taking, agent.language)
        self._hangover = samples_in(HANGOVER_MS, UPLINK_RATE) + vad.chunk_samples
        self._recent: deque[Pcm] = deque()
        self._recent_samples = 0
        self._recent_kept = samples_in(_PRE_ROLL_MS + ONSET_MS, UPLINK_RATE) + 2 * vad.chunk_samples
        self._release_at: int | None = None
        self.position = 0
        """How far the caller's audio has come."""
        self.speech_end = 0
        """Where the caller's last sound ended."""

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

    def understood(self, interim: InterimText) -> None:
        """What the utterance has said so far: it tells when it is over."""
        self._endpointing.understood(interim.utterance, interim.text)

    def agent_began(self) -> None:
        """The agent speaks."""
        self._endpointing.answered()

    def press(self) -> None:
        """Push-to-talk: the caller speaks from here on."""
        self._release_at = None
        if not self._endpointing.open:
            self._tell(self._endpointing.handle(TalkspurtStarted(self.position)))
            self._on_input(SpeechSustained(self.position))

    def release(self) -> None:
        """Push-to-talk: the caller has spoken. What they said just before is still on its way."""
        if self.by_button and self._endpointing.open:
            self._release_at = self.position + _RELEASE_TAIL

    def end_utterance(self) -> None:
        """Whoever switches the microphone off has finished."""
        if self._endpointing.open:
            self._tell([self._endpointing.end(self.position)])

    async def _listen(self, samples: Pcm) -> None:
        self._pass_time(len(samples))
        self._remember(samples)
        if self._endpointing.open:
            self._transcription.push(samples)
        if self.by_button:
            self._advance_by_button()
            return
        for probability in await self._vad.push(samples):
            self._advance(self._talkspurts.push(probability))
        if self._talkspurts.quiet:
            # An endpoint need not wait until a chunk is full.
            self._tell(self._endpointing.advance(self.position, self._turns.agent_speaks))

    async def _pass(self, samples: int) -> None:
        """Silence: the detector hears as much of it as it needs to notice, the rest is only counted."""
        wanted = samples if self.by_button else min(samples, self._hangover)
        heard = wanted if self._talkspurts.speaking or self._endpointing.open else 0
        if heard:
            await self._listen(np.zeros(heard, dtype=np.int16))
        if samples > heard:
            self._pass_time(samples - heard)
            self._recent.clear()
            self._recent_samples = 0
            if not self.by_button:
                self._advance(self._talkspurts.skip(samples - heard))

    def _pass_time(self, samples: int) -> None:
        self.position += samples
        for event in self._timers.advance(samples, self._turns.state, not self._endpointing.open):
            self._on_input(event)

    def _advance(self, events: list[SpeechEvent]) -> None:
        for event in events:
            self._tell(self._endpointing.handle(event))
            # What is left of a sound in which the microphone was switched off belongs to no utterance.
            if isinstance(event, SpeechSustained | SpeechProlonged) and self._endpointing.open:
                self._on_input(event)
        self._tell(self._endpointing.advance(self._talkspurts.decided_up_to, self._turns.agent_speaks))

    def _advance_by_button(self) -> None:
        if self._release_at is not None and self.position >= self._release_at:
            self._release_at = None
            self.end_utterance()
        self._tell(self._endpointing.advance(self.position))

    def _tell(self, events: list[UtteranceEvent]) -> None:
        for event in events:
            if isinstance(event, UtteranceStarted):
                self._transcription.begin(event.utterance, self._pre_roll(event.at_sample))
            if isinstance(event, UtteranceEnded):
                self.speech_end = self._endpointing.last_sound or event.at_sample
            self._on_input(event)

    def _remember(self, samples: Pcm) -> None:
        self._recent.append(samples)
        self._recent_samples += len(samples)
        while self._recent_samples - len(self._recent[0]) >= self._recent_kept:
            self._recent_samples -= len(self._recent.popleft())

    def _pre_roll(self, at_sample: int) -> Pcm:
        """The recent sound from a little before `at_sample`."""
        since = self.position - at_sample + samples_in(_PRE_ROLL_MS, UPLINK_RATE)
        recent = np.concatenate(self._recent) if self._recent else np.zeros(0, dtype=np.int16)
        return recent[-since:]
