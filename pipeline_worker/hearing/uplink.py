"""The caller's audio: wires reassembly, voice activity, talkspurts, endpointing and transcription together."""

from collections import deque
from collections.abc import Callable

from prometheus_client import Counter

from pipeline_worker.engines.protocols import VoiceActivityDetector
from pipeline_worker.hearing.endpointing import Endpointing, UtteranceEvent
from pipeline_worker.hearing.reassembly import Reassembly, Silence, Sound, Stretch
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
from pipeline_worker.turns.memory import Past
from pipeline_worker.turns.table import TurnTaking
from pipeline_worker.turns.timers import TurnTimers
from shared.agent import AgentDefinition
from shared.audio import BYTES_PER_SAMPLE, UPLINK_RATE, Pcm, as_samples, samples_in
from shared.frames import AudioFrame, SilenceRun

_PRE_ROLL_MS = 300
"""Recognisers need a little quiet before the first sound, and detectors notice soft onsets late."""
_PRE_ROLL = samples_in(_PRE_ROLL_MS, UPLINK_RATE)
_RELEASE_TAIL = samples_in(60, UPLINK_RATE)
"""Audio arrives later than messages, because of the jitter buffer and the codec."""
MAX_BACKLOG = 250
"""Five seconds of frames."""

_unusable = Counter("antiphon_uplink_unusable_total", "Audio frames that are late, repeated or not 16 kHz mono")
_dropped = Counter("antiphon_session_audio_dropped_total", "Frames dropped because a session was too slow")


class Uplink:
    """Calls `on_input` with what the caller does. Positions count samples of the caller's audio.

    Audio is processed at once and in order, but waits while the detector processes earlier audio.
    """

    def __init__(
        self,
        agent: AgentDefinition,
        vad: VoiceActivityDetector,
        transcription: Transcription,
        turns: TurnTaking,
        on_input: Callable[[Input], object],
        on_failure: Callable[[Exception], None],
        past: Past | None = None,
    ) -> None:
        self._vad = vad.open(self._on_probabilities, on_failure)
        self._transcription = transcription
        self._turns = turns
        self._on_input = on_input
        self._on_failure = on_failure
        self.by_button = agent.turn_taking.mode == "push_to_talk"
        self._reassembly = Reassembly()
        self._backlog: deque[AudioFrame | SilenceRun] = deque()
        self._stretches: deque[Stretch] = deque()
        """What is left of the last item that was taken from the backlog."""
        self._to_skip = 0
        """Samples of known silence after those that the detector is processing."""
        self._judging = False
        self._timers = TurnTimers(agent, past.elapsed_s if past is not None else 0.0)
        self._talkspurts = Talkspurts(vad.chunk_samples, agent.turn_taking.barge_in_ms, vad.tail_samples)
        self._endpointing = Endpointing(agent.turn_taking, agent.language)
        self._hangover = samples_in(HANGOVER_MS, UPLINK_RATE) + vad.chunk_samples
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0
        self._recent_kept = (
            samples_in(_PRE_ROLL_MS + ONSET_MS, UPLINK_RATE) + 2 * vad.chunk_samples
        ) * BYTES_PER_SAMPLE
        self._release_at: int | None = None
        self._origin: int | None = None
        """Where the audio began, in the media worker's samples: known with the first frame."""
        self._settled = past.memory.uplink if past is not None else 0
        """The same as `settled_up_to`, before the first frame."""
        self._unsettled: dict[int, int] = {}
        """Utterances that may still be heard by another worker, and where they began."""
        self._last_ended = 0
        self.position = 0
        """End of the audio that was processed."""
        self.speech_end = 0
        """Where the caller's last sound ended."""

    def take(self, item: AudioFrame | SilenceRun) -> None:
        """Take audio of the media worker. A full backlog drops its oldest item, because late speech is worth less."""
        if item.sample_rate != UPLINK_RATE or (type(item) is AudioFrame and item.channels != 1):
            _unusable.inc()
            return
        nothing_waits = not (self._judging or self._backlog or self._stretches or self._to_skip)
        if nothing_waits and type(item) is AudioFrame and self._reassembly.accept_next(item):
            self._listen(item.pcm)
            return
        if len(self._backlog) >= MAX_BACKLOG:
            self._backlog.popleft()
            _dropped.inc()
        self._backlog.append(item)
        self._work()

    def restart(self) -> None:
        """A new media worker, whose positions begin again. An open utterance goes on with its audio."""
        self._backlog.clear()
        self._stretches.clear()
        self._to_skip = 0
        self._reassembly = Reassembly()
        self._origin, self._settled = None, 0
        self._last_ended = self.position
        self._unsettled = dict.fromkeys(self._unsettled, self.position)

    def settle(self, utterance: int) -> None:
        """What was said is recorded, or dismissed."""
        self._unsettled.pop(utterance, None)

    @property
    def settled_up_to(self) -> int:
        """What the caller says from here on is not settled yet. In the media worker's samples."""
        if self._origin is None:
            return self._settled
        if self._unsettled:
            begins = min(self._unsettled.values())
            return self._origin + max(self._last_ended if begins >= self._last_ended else 0, begins - _PRE_ROLL)
        return self._origin + (self.position if self.by_button else self._talkspurts.decided_up_to)

    def close(self) -> None:
        self._vad.close()

    def understood(self, interim: InterimText) -> None:
        self._endpointing.understood(interim.utterance, interim.text)

    def agent_began(self) -> None:
        self._endpointing.answered()

    def press(self) -> None:
        """Push-to-talk: the button was pressed."""
        self._release_at = None
        if not self._endpointing.open:
            self._tell(self._endpointing.handle(TalkspurtStarted(self.position)))
            self._on_input(SpeechSustained(self.position))

    def release(self) -> None:
        """Push-to-talk: the button was released. Audio from just before is still on its way."""
        if self.by_button and self._endpointing.open:
            self._release_at = self.position + _RELEASE_TAIL

    def end_utterance(self) -> None:
        """The caller switched the microphone off, which ends the utterance."""
        if self._endpointing.open:
            self._tell([self._endpointing.end(self.position)])

    def _work(self) -> None:
        """Process what waits, until the detector is busy."""
        while not self._judging:
            if self._to_skip:
                self._skip()
            elif self._stretches:
                match self._stretches.popleft():
                    case Sound(_, pcm):
                        self._listen(pcm)
                    case Silence(_, samples):
                        self._pass(samples)
            elif self._backlog:
                stretches = self._reassembly.accept(self._backlog.popleft())
                if not stretches:
                    _unusable.inc()
                elif self._origin is None:
                    self._origin = stretches[0].first_sample - self.position
                self._stretches.extend(stretches)
            else:
                return

    def _listen(self, pcm: bytes) -> None:
        self._pass_time(len(pcm) // BYTES_PER_SAMPLE)
        self._remember(pcm)
        if self._endpointing.open:
            self._transcription.push(as_samples(pcm))
        if self.by_button:
            self._advance_by_button()
        elif (probabilities := self._vad.push(pcm)) is None:
            self._judging = True
        else:
            self._judge(probabilities)

    def _on_probabilities(self, probabilities: list[float]) -> None:
        self._judging = False
        try:
            self._judge(probabilities)
            self._work()
        except Exception as error:  # noqa: BLE001 - ends this session only; others share the detector
            self._on_failure(error)

    def _judge(self, probabilities: list[float]) -> None:
        for probability in probabilities:
            self._advance(self._talkspurts.push(probability))
        if self._endpointing.open and self._talkspurts.quiet:
            # An endpoint does not wait for a full chunk.
            self._tell(self._endpointing.advance(self.position, self._turns.agent_speaks))

    def _pass(self, samples: int) -> None:
        """Silence: the detector gets as much as its hangover needs, the rest is only counted."""
        wanted = samples if self.by_button else min(samples, self._hangover)
        heard = wanted if self._talkspurts.speaking or self._endpointing.open else 0
        self._to_skip = samples - heard
        if heard:
            self._listen(bytes(heard * BYTES_PER_SAMPLE))

    def _skip(self) -> None:
        samples, self._to_skip = self._to_skip, 0
        self._pass_time(samples)
        self._recent.clear()
        self._recent_bytes = 0
        if not self.by_button:
            self._advance(self._talkspurts.skip(samples))

    def _pass_time(self, samples: int) -> None:
        self.position += samples
        for event in self._timers.advance(samples, self._turns.state, not self._endpointing.open):
            self._on_input(event)

    def _advance(self, events: list[SpeechEvent]) -> None:
        for event in events:
            self._tell(self._endpointing.handle(event))
            # The rest of a sound during which the microphone was switched off belongs to no utterance.
            if isinstance(event, SpeechSustained | SpeechProlonged) and self._endpointing.open:
                self._on_input(event)
        if self._endpointing.open:
            self._tell(self._endpointing.advance(self._talkspurts.decided_up_to, self._turns.agent_speaks))

    def _advance_by_button(self) -> None:
        if self._release_at is not None and self.position >= self._release_at:
            self._release_at = None
            self.end_utterance()
        self._tell(self._endpointing.advance(self.position))

    def _tell(self, events: list[UtteranceEvent]) -> None:
        for event in events:
            if isinstance(event, UtteranceStarted):
                self._unsettled[event.utterance] = event.at_sample
                self._transcription.begin(event.utterance, self._pre_roll(event.at_sample))
            if isinstance(event, UtteranceEnded):
                self._last_ended = event.at_sample
                self.speech_end = self._endpointing.last_sound or event.at_sample
            self._on_input(event)

    def _remember(self, pcm: bytes) -> None:
        self._recent.append(pcm)
        self._recent_bytes += len(pcm)
        while self._recent_bytes - len(self._recent[0]) >= self._recent_kept:
            self._recent_bytes -= len(self._recent.popleft())

    def _pre_roll(self, at_sample: int) -> Pcm:
        """The recent sound from a little before `at_sample`."""
        since = self.position - at_sample + _PRE_ROLL
        return as_samples(b"".join(self._recent))[-since:]
