import asyncio
from collections.abc import AsyncIterator

import pytest

from pipeline_worker.hearing.transcription import Transcription
from pipeline_worker.hearing.uplink import Uplink
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
from pipeline_worker.turns.state import State
from pipeline_worker.turns.table import TurnTaking
from shared.agent import AgentDefinition, Greeting, Idle, Limits
from shared.frames import AudioFrame, SilenceRun
from tests.fakes.engines import FakeStt, FakeVad
from tests.fakes.session_peer import EPOCH, FRAME, SESSION, SessionPeer

AGENT = AgentDefinition(id="a", name="A", limits=Limits(max_duration_s=60))


class Line:
    """An uplink whose frames are made by hand; the transcription works when `heard` is awaited."""

    def __init__(self, agent: AgentDefinition = AGENT) -> None:
        self.vad = FakeVad()
        self.stt = FakeStt("yes", "no")
        self.inputs: list[Input] = []
        self._final = asyncio.Event()
        self.transcription = Transcription(
            self.stt, lambda interim: None, lambda final: self._final.set(), lambda error: None
        )
        self.turns = TurnTaking(agent)
        self.turns.handle(CallerConnected())
        self.uplink = Uplink(agent, self.vad, self.transcription, self.turns, self.inputs.append)
        self.peer = SessionPeer()

    async def speak(self, duration_ms: int) -> None:
        for _ in range(duration_ms // 20):
            await self.uplink.take(self.peer.next_frame())

    async def silence(self, samples: int, seq: int, first_sample: int) -> None:
        await self.uplink.take(SilenceRun(SESSION, EPOCH, seq, first_sample, 16_000, samples))

    async def heard(self) -> list[int]:
        """What the recogniser was given of the first utterance, sample by sample."""
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


async def test_a_run_of_silence_ends_the_utterance_at_its_endpoint(line: Line) -> None:
    await line.speak(640)
    await line.silence(48_000, seq=32, first_sample=32 * FRAME)
    assert line.inputs == [
        UtteranceStarted(1, 0),
        SpeechSustained(7 * 512),
        UtteranceEnded(1, 640 * 16 + 500 * 16),
    ]
    assert line.uplink.speech_end == 640 * 16


async def test_the_detector_hears_only_as_much_silence_as_it_needs(line: Line) -> None:
    await line.speak(640)
    heard = line.vad.heard_samples
    await line.silence(48_000, seq=32, first_sample=32 * FRAME)
    assert 0 < line.vad.heard_samples - heard <= 16_000 // 4
    heard = line.vad.heard_samples
    await line.silence(48_000, seq=33, first_sample=32 * FRAME + 48_000)
    assert line.vad.heard_samples == heard


async def test_a_gap_in_the_audio_is_time_that_passes(line: Line) -> None:
    await line.speak(640)
    late = line.peer.next_frame()._replace(seq=500, first_sample=100_000)
    await line.uplink.take(late)
    assert UtteranceEnded(1, 640 * 16 + 500 * 16) in line.inputs


async def test_the_recogniser_hears_a_pause_within_an_utterance_as_long_as_it_was(line: Line) -> None:
    await line.speak(640)
    await line.silence(FRAME * 10, seq=32, first_sample=32 * FRAME)
    for seq in range(33, 49):
        await line.uplink.take(line.peer.next_frame()._replace(seq=seq, first_sample=(seq + 9) * FRAME))
    heard = await line.heard()
    assert len(heard) == (32 + 10 + 16) * FRAME
    assert heard.count(0) == 10 * FRAME


async def test_repeated_frames_and_foreign_rates_are_not_heard(line: Line) -> None:
    frame = line.peer.next_frame()
    for item in (frame, frame, frame._replace(seq=1, sample_rate=48_000), frame._replace(seq=1, channels=2)):
        await line.uplink.take(item)
    assert line.vad.heard_samples == FRAME


async def test_the_time_limit_is_told_once(line: Line) -> None:
    await line.silence(59 * 16_000, seq=0, first_sample=0)
    assert line.inputs == []
    await line.silence(5 * 16_000, seq=1, first_sample=59 * 16_000)
    await line.silence(5 * 16_000, seq=2, first_sample=64 * 16_000)
    assert line.inputs == [TimeExceeded()]


async def test_a_session_that_began_elsewhere_goes_on_here(line: Line) -> None:
    for seq in range(32):
        await line.uplink.take(
            AudioFrame(SESSION, EPOCH, 900 + seq, (900 + seq) * FRAME, 16_000, 1, line.peer.next_frame().pcm)
        )
    await line.silence(48_000, seq=932, first_sample=932 * FRAME)
    assert len(await line.heard()) >= 32 * FRAME


async def test_each_talkspurt_over_the_agent_is_an_utterance(line: Line) -> None:
    speaking = Line(AGENT.model_copy(update={"greeting": Greeting(text="Hello.")}))
    assert speaking.turns.state is State.SPEAKING
    await speaking.speak(128)
    await speaking.silence(FRAME * 12, seq=6, first_sample=6 * FRAME)
    assert [type(event) for event in speaking.inputs] == [UtteranceStarted, UtteranceEnded]
    speaking.uplink.close()


async def test_words_that_sound_unfinished_give_the_caller_more_time(line: Line) -> None:
    await line.speak(640)
    line.uplink.understood(InterimText(1, "I would like a table for"))
    await line.silence(48_000, seq=32, first_sample=32 * FRAME)
    assert line.inputs[-1] == UtteranceEnded(1, 640 * 16 + 1500 * 16)


async def test_whoever_switches_the_microphone_off_has_finished(line: Line) -> None:
    line.uplink.end_utterance()
    await line.speak(640)
    line.uplink.end_utterance()
    line.uplink.end_utterance()
    assert line.inputs[-1] == UtteranceEnded(1, 640 * 16)
    assert len(line.inputs) == 3


async def test_what_is_left_of_a_sound_after_the_microphone_was_switched_off_is_nobodys(line: Line) -> None:
    await line.speak(100)
    line.uplink.end_utterance()
    await line.speak(2_000)
    assert [type(told) for told in line.inputs] == [UtteranceStarted, UtteranceEnded]


async def test_a_caller_who_says_nothing_is_idle(line: Line) -> None:
    patient = Line(AGENT.model_copy(update={"idle": Idle(prompt_after_s=2)}))
    await patient.silence(2 * 16_000, seq=0, first_sample=0)
    assert patient.inputs == [CallerIdle()]
    patient.uplink.close()


@pytest.fixture
async def button() -> AsyncIterator[Line]:
    taking = AGENT.turn_taking.model_copy(update={"mode": "push_to_talk"})
    line = Line(AGENT.model_copy(update={"turn_taking": taking}))
    yield line
    line.uplink.close()


async def test_with_a_button_an_utterance_lasts_as_long_as_it_is_pressed(button: Line) -> None:
    await button.speak(400)
    assert button.inputs == []
    button.uplink.press()
    await button.speak(400)
    await button.silence(16_000, seq=40, first_sample=40 * FRAME)
    button.uplink.release()
    await button.silence(60 * 16, seq=41, first_sample=40 * FRAME + 16_000)
    released = 40 * FRAME + 16_000 + 60 * 16
    assert button.inputs == [
        UtteranceStarted(1, 20 * FRAME),
        SpeechSustained(20 * FRAME),
        UtteranceEnded(1, released),
    ]
    assert button.vad.heard_samples == 0
    heard = await button.heard()
    assert len(heard) == 300 * 16 + released - 20 * FRAME


async def test_a_button_that_bounces_makes_one_utterance(button: Line) -> None:
    button.uplink.release()
    button.uplink.press()
    await button.speak(200)
    button.uplink.release()
    await button.speak(20)
    button.uplink.press()
    await button.speak(200)
    assert len(button.inputs) == 2


async def test_nobody_holds_the_button_for_ever(button: Line) -> None:
    button.uplink.press()
    await button.silence(59 * 16_000, seq=0, first_sample=0)
    await button.silence(2 * 16_000, seq=1, first_sample=59 * 16_000)
    assert UtteranceEnded(1, 61 * 16_000) in button.inputs
