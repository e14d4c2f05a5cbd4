import asyncio
from collections.abc import AsyncIterator

import pytest

from pipeline_worker.core.endpointing import UtteranceEnded
from pipeline_worker.core.talkspurts import SpeechSustained
from pipeline_worker.core.turn_events import Input, TimeExceeded
from pipeline_worker.transcription import Transcription
from pipeline_worker.uplink import Uplink
from shared.agent import AgentDefinition, Limits
from shared.frames import AudioFrame, SilenceRun
from tests.fakes.engines import FakeStt, FakeVad
from tests.fakes.session_peer import EPOCH, FRAME, SESSION, SessionPeer

AGENT = AgentDefinition(id="a", name="A", limits=Limits(max_duration_s=60))


class Line:
    """An uplink whose frames are made by hand; the transcription works when `heard` is awaited."""

    def __init__(self) -> None:
        self.vad = FakeVad()
        self.stt = FakeStt("yes", "no")
        self.inputs: list[Input] = []
        self._final = asyncio.Event()
        self.transcription = Transcription(
            self.stt, 5, lambda text: None, lambda utterance, text: self._final.set(), lambda error: None
        )
        self.uplink = Uplink(AGENT, self.vad, self.transcription, self.inputs.append)
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
    sustained, ended = line.inputs
    assert isinstance(sustained, SpeechSustained)
    assert ended == UtteranceEnded(1, 640 * 16 + 500 * 16)


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
