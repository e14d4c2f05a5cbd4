import asyncio
from collections.abc import AsyncIterator

import pytest

from pipeline_worker.hearing.transcription import Transcription
from pipeline_worker.hearing.uplink import MAX_BACKLOG, Uplink
from pipeline_worker.turns.events import (
    CallerConnected,
    CallerIdle,
    Input,
    InterimText,
    SpeechSustained,
    TimeExceeded,
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.memory import Memory, Past
from pipeline_worker.turns.state import State
from pipeline_worker.turns.table import TurnTaking
from shared.agent import AgentDefinition, Greeting, Idle, Limits
from shared.errors import EngineError
from shared.frames import AudioFrame, SilenceRun
from tests.fakes.engines import LOUD, FakeStt, FakeVad
from tests.fakes.session_peer import EPOCH, FRAME, SESSION, SessionPeer

AGENT = AgentDefinition(id="a", name="A", limits=Limits(max_duration_s=60))


class Line:
    """An uplink whose frames are made by hand; the transcription works when `heard` is awaited."""

    def __init__(self, agent: AgentDefinition = AGENT, slow: bool = False, past: Past | None = None) -> None:
        self.vad = FakeVad(slow)
        self.stt = FakeStt("yes", "no")
        self.inputs: list[Input] = []
        self._final = asyncio.Event()
        self.transcription = Transcription(
            self.stt, lambda interim: None, lambda final: self._final.set(), lambda error: None
        )
        self.turns = TurnTaking(agent)
        self.turns.handle(CallerConnected())
        self.broken: Exception | None = None
        self.failures: list[Exception] = []
        fail = self.failures.append
        self.uplink = Uplink(agent, self.vad, self.transcription, self.turns, self._on_input, fail, past)
        self.peer = SessionPeer()

    def _on_input(self, event: Input) -> None:
        if self.broken is not None:
            raise self.broken
        self.inputs.append(event)

    def speak(self, duration_ms: int) -> None:
        for _ in range(duration_ms // 20):
            self.uplink.take(self.peer.next_frame())

    def silence(self, samples: int, seq: int, first_sample: int) -> None:
        self.uplink.take(SilenceRun(SESSION, EPOCH, seq, first_sample, 16_000, samples))

    async def heard(self) -> list[int]:
        """The samples of the first utterance that the recogniser got."""
        self.transcription.finish(1)
        task = asyncio.create_task(self.transcription.run())
        await asyncio.wait_for(self._final.wait(), 5)
        task.cancel()
        await asyncio.wait([task])
        return [level for piece in self.stt.heard[0] for level in piece.tolist()]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    line.uplink.close()
    assert line.vad.open_streams == 0


def test_a_run_of_silence_ends_the_utterance_at_its_endpoint(line: Line) -> None:
    line.speak(640)
    line.silence(48_000, seq=32, first_sample=32 * FRAME)
    assert line.inputs == [UtteranceStarted(1, 0), SpeechSustained(7 * 512), UtteranceEnded(1, 640 * 16 + 500 * 16)]
    assert line.uplink.speech_end == 640 * 16


def test_the_detector_hears_only_as_much_silence_as_it_needs(line: Line) -> None:
    line.speak(640)
    heard = line.vad.heard_samples
    line.silence(48_000, seq=32, first_sample=32 * FRAME)
    assert 0 < line.vad.heard_samples - heard <= 16_000 // 4
    heard = line.vad.heard_samples
    line.silence(48_000, seq=33, first_sample=32 * FRAME + 48_000)
    assert line.vad.heard_samples == heard


def test_a_gap_in_the_audio_is_time_that_passes(line: Line) -> None:
    line.speak(640)
    late = line.peer.next_frame()._replace(seq=500, first_sample=100_000)
    line.uplink.take(late)
    assert UtteranceEnded(1, 640 * 16 + 500 * 16) in line.inputs


async def test_the_recogniser_hears_a_pause_within_an_utterance_as_long_as_it_was(line: Line) -> None:
    line.speak(640)
    line.silence(FRAME * 10, seq=32, first_sample=32 * FRAME)
    for seq in range(33, 49):
        line.uplink.take(line.peer.next_frame()._replace(seq=seq, first_sample=(seq + 9) * FRAME))
    heard = await line.heard()
    assert len(heard) == (32 + 10 + 16) * FRAME
    assert heard.count(0) == 10 * FRAME


def test_repeated_frames_and_foreign_rates_are_not_heard(line: Line) -> None:
    frame = line.peer.next_frame()
    for item in (frame, frame, frame._replace(seq=1, sample_rate=48_000), frame._replace(seq=1, channels=2)):
        line.uplink.take(item)
    assert line.vad.heard_samples == FRAME


def test_the_time_limit_is_reported_once(line: Line) -> None:
    line.silence(59 * 16_000, seq=0, first_sample=0)
    assert line.inputs == []
    line.silence(5 * 16_000, seq=1, first_sample=59 * 16_000)
    line.silence(5 * 16_000, seq=2, first_sample=64 * 16_000)
    assert line.inputs == [TimeExceeded()]


async def test_a_session_that_began_elsewhere_continues_here(line: Line) -> None:
    for seq in range(32):
        line.uplink.take(
            AudioFrame(SESSION, EPOCH, 900 + seq, (900 + seq) * FRAME, 16_000, 1, line.peer.next_frame().pcm)
        )
    line.silence(48_000, seq=932, first_sample=932 * FRAME)
    assert len(await line.heard()) >= 32 * FRAME


def test_each_talkspurt_over_the_agent_is_an_utterance(line: Line) -> None:
    speaking = Line(AGENT.model_copy(update={"greeting": Greeting(text="Hello.")}))
    assert speaking.turns.state is State.SPEAKING
    speaking.speak(128)
    speaking.silence(FRAME * 12, seq=6, first_sample=6 * FRAME)
    assert [type(event) for event in speaking.inputs] == [UtteranceStarted, UtteranceEnded]
    speaking.uplink.close()


def test_words_that_sound_unfinished_give_the_caller_more_time(line: Line) -> None:
    line.speak(640)
    line.uplink.understood(InterimText(1, "I would like a table for"))
    line.silence(48_000, seq=32, first_sample=32 * FRAME)
    assert line.inputs[-1] == UtteranceEnded(1, 640 * 16 + 1500 * 16)


def test_a_caller_who_mutes_has_finished(line: Line) -> None:
    line.uplink.end_utterance()
    line.speak(640)
    line.uplink.end_utterance()
    line.uplink.end_utterance()
    assert line.inputs[-1] == UtteranceEnded(1, 640 * 16)
    assert len(line.inputs) == 3


def test_the_rest_of_a_sound_after_mute_is_ignored(line: Line) -> None:
    line.speak(100)
    line.uplink.end_utterance()
    line.speak(2_000)
    assert [type(told) for told in line.inputs] == [UtteranceStarted, UtteranceEnded]


def test_a_caller_who_says_nothing_is_idle(line: Line) -> None:
    patient = Line(AGENT.model_copy(update={"idle": Idle(prompt_after_s=2)}))
    patient.silence(2 * 16_000, seq=0, first_sample=0)
    assert patient.inputs == [CallerIdle()]
    patient.uplink.close()


@pytest.fixture
async def button() -> AsyncIterator[Line]:
    taking = AGENT.turn_taking.model_copy(update={"mode": "push_to_talk"})
    line = Line(AGENT.model_copy(update={"turn_taking": taking}))
    yield line
    line.uplink.close()


async def test_with_a_button_an_utterance_lasts_as_long_as_it_is_pressed(button: Line) -> None:
    button.speak(400)
    assert button.inputs == []
    button.uplink.press()
    button.speak(400)
    button.silence(16_000, seq=40, first_sample=40 * FRAME)
    button.uplink.release()
    button.silence(60 * 16, seq=41, first_sample=40 * FRAME + 16_000)
    released = 40 * FRAME + 16_000 + 60 * 16
    assert button.inputs == [UtteranceStarted(1, 20 * FRAME), SpeechSustained(20 * FRAME), UtteranceEnded(1, released)]
    assert button.vad.heard_samples == 0
    heard = await button.heard()
    assert len(heard) == 300 * 16 + released - 20 * FRAME


def test_a_button_that_bounces_makes_one_utterance(button: Line) -> None:
    button.uplink.release()
    button.uplink.press()
    button.speak(200)
    button.uplink.release()
    button.speak(20)
    button.uplink.press()
    button.speak(200)
    assert len(button.inputs) == 2


def test_a_press_has_a_longest_duration(button: Line) -> None:
    button.uplink.press()
    button.silence(59 * 16_000, seq=0, first_sample=0)
    button.silence(2 * 16_000, seq=1, first_sample=59 * 16_000)
    assert UtteranceEnded(1, 61 * 16_000) in button.inputs


def test_audio_waits_for_the_detector_and_loses_nothing() -> None:
    line, slow = Line(), Line(slow=True)
    for one in (line, slow):
        one.speak(640)
        one.silence(48_000, seq=32, first_sample=32 * FRAME)
    assert (slow.inputs, slow.uplink.position) == ([], 2 * FRAME)
    slow.vad.answer()
    assert slow.inputs == line.inputs != []
    assert slow.uplink.position == line.uplink.position


def test_a_detector_that_is_too_slow_costs_the_oldest_audio() -> None:
    line = Line(slow=True)
    line.speak(20 * (MAX_BACKLOG + 100))
    line.vad.answer()
    assert line.vad.heard_samples == (MAX_BACKLOG + 2) * FRAME
    assert line.uplink.position == (MAX_BACKLOG + 100) * FRAME


def test_a_fault_is_raised_in_its_own_session() -> None:
    line = Line(slow=True)
    line.vad.failure = EngineError("no model")
    line.speak(20)
    assert line.failures == [line.vad.failure]
    other = Line(slow=True)
    other.broken = ValueError("a mistake of ours")
    other.speak(640)
    other.vad.answer()
    assert other.failures == [other.broken]


def hear(line: Line, *, begins: int, frames: int, level: int) -> int:
    """Frames of a media worker whose positions are those of the test. Returns the end."""
    for number in range(frames):
        first = begins + number * FRAME
        frame = line.peer.next_frame(level)._replace(seq=first // FRAME, first_sample=first)
        line.uplink.take(frame)
    return begins + frames * FRAME


def test_what_is_said_is_unsettled_until_its_text_is_recorded(line: Line) -> None:
    position = hear(line, begins=50 * FRAME, frames=50, level=0)
    assert line.uplink.settled_up_to == pytest.approx(position, abs=512)
    spoken = position
    position = hear(line, begins=spoken, frames=32, level=LOUD)
    position = hear(line, begins=position, frames=50, level=0)
    assert line.uplink.settled_up_to == pytest.approx(spoken - 4_800, abs=512)
    line.uplink.settle(1)
    assert line.uplink.settled_up_to == pytest.approx(position, abs=512)


def test_another_worker_does_not_hear_the_end_of_what_was_recorded(line: Line) -> None:
    position = hear(line, begins=0, frames=32, level=LOUD)
    position = hear(line, begins=position, frames=40, level=0)
    line.uplink.settle(1)
    ended = next(event.at_sample for event in line.inputs if isinstance(event, UtteranceEnded))
    hear(line, begins=position, frames=20, level=LOUD)
    assert line.uplink.settled_up_to >= ended


def test_a_new_media_workers_audio_begins_at_its_own_positions(line: Line) -> None:
    hear(line, begins=0, frames=32, level=LOUD)
    line.uplink.restart()
    assert line.uplink.settled_up_to == 0
    position = hear(line, begins=0, frames=10, level=LOUD)
    assert [type(event) for event in line.inputs] == [UtteranceStarted, SpeechSustained]
    assert line.uplink.settled_up_to == 0
    hear(line, begins=position, frames=50, level=0)
    assert isinstance(line.inputs[-1], UtteranceEnded)
    line.uplink.settle(1)
    assert line.uplink.settled_up_to == pytest.approx(60 * FRAME, abs=512)


def test_before_the_first_frame_the_position_of_the_worker_before_counts() -> None:
    past = Past((), Memory(epoch=1, uplink=77_000), elapsed_s=59.0)
    line = Line(past=past)
    assert line.uplink.settled_up_to == 77_000
    line.silence(16_000, seq=5, first_sample=70_000)
    assert line.inputs == [TimeExceeded()]
    line.uplink.close()
