from collections.abc import AsyncGenerator, Callable, Sequence

import pytest

from pipeline_worker.engines.catalog import Engines
from pipeline_worker.engines.fallback.language_model import FallbackLanguageModel
from pipeline_worker.engines.fallback.speech_to_text import FallbackSpeechToText
from pipeline_worker.engines.fallback.text_to_speech import FallbackTextToSpeech
from pipeline_worker.engines.guard import EngineGuard, Guarded
from pipeline_worker.engines.protocols import Entry, Reply, Transcript
from shared.errors import EngineError
from shared.io.broker import Redis
from tests.fakes.engines import FakeEngines, FakeLm, FakeStt, FakeTts
from tests.fakes.session_peer import SessionPeer
from tests.fakes.unreliable_engines import UnreliableLm, UnreliableStt
from tests.pipeline_worker.sessions import T, connected, engines_with, session_of


@pytest.mark.parametrize(
    "engines",
    [
        lambda: engines_with(FakeStt("one"), FakeLm(EngineError("not today", code="engine_failed"))),
        lambda: engines_with(FakeStt(EngineError("not today", code="engine_failed"))),
    ],
    ids=["language model", "speech to text"],
)
async def test_when_an_engine_fails_the_caller_hears_an_apology_and_the_session_goes_on(
    engines: Callable[[], FakeEngines], broker: Redis
) -> None:
    async with connected(engines(), broker, apology="Oh dear.") as peer:
        await peer.ask()
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
        assert peer.published("error") == [
            {"code": "engine_failed", "message": "A part of the agent failed. Please say it again."}
        ]
        assert peer.published("transcript")[-1] == {"role": "agent", "text": "Oh dear."}
        await peer.ask()
        await peer.play_turn()
        await peer.until(lambda: peer.published("transcript")[-1] == {"role": "agent", "text": "Yes."})


async def test_a_model_that_fails_in_mid_answer_is_heard_so_far_and_then_the_apology(broker: Redis) -> None:
    class Breaking(FakeLm):
        async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
            yield Reply("We open. At")
            raise EngineError("gone")

    async with connected(engines_with(FakeStt("one"), Breaking()), broker, apology="Oh dear.") as peer:
        await peer.ask()
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert peer.published("transcript")[-1] == {"role": "agent", "text": "We open. At Oh dear."}


async def test_a_voice_that_breaks_off_is_followed_by_the_apology_and_not_by_silence(broker: Redis) -> None:
    engines = engines_with(FakeStt("one"), FakeLm([Reply("We open at ten. Come in.")]))
    engines.tts.failure, engines.tts.fails = EngineError("hoarse"), 1
    async with connected(engines, broker, apology="Oh dear.") as peer:
        await peer.ask()
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert engines.tts.spoken == ["We open at ten.", "Oh dear."]
    assert peer.published("transcript")[1] == {"role": "agent", "text": "We Oh dear.", "interrupted": True}
    assert len(peer.published("error")) == 1


async def test_a_voice_that_is_gone_for_good_leaves_what_was_heard(broker: Redis) -> None:
    engines = engines_with(FakeStt("one"), FakeLm([Reply("We open at ten.")]))
    engines.tts.failure = EngineError("hoarse")
    async with connected(engines, broker, apology="Oh dear.") as peer:
        await peer.ask()
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 2)
    assert peer.published("transcript")[1] == {"role": "agent", "text": "We Oh", "interrupted": True}
    assert len(peer.published("error")) == 1


class FallingBackEngines(FakeEngines):
    """The first of each engine is broken: the recogniser and the model from the start, the voice after a word."""

    def __init__(self) -> None:
        super().__init__()
        self.dead_lm = UnreliableLm([EngineError("gone", code="engine_unavailable")])
        self.hoarse = FakeTts()
        self.hoarse.failure = EngineError("hoarse")

    def open(self, agent_id: str) -> Engines:
        dead_stt = UnreliableStt([EngineError("deaf")], Transcript("", True))
        return Engines(
            self.vad,
            FallbackSpeechToText(watched("stt", dead_stt), watched("stt", self.stt)),
            FallbackLanguageModel(watched("lm", self.dead_lm), watched("lm", self.lm)),
            FallbackTextToSpeech(watched("tts", self.hoarse), watched("tts", self.tts)),
        )


def watched(kind: str, engine: T) -> Guarded[T]:
    return Guarded(engine, EngineGuard(kind, "fake", first_output_s=5))


async def test_where_every_engine_breaks_the_call_goes_on_with_the_fallbacks(broker: Redis) -> None:
    engines = FallingBackEngines()
    engines.stt = FakeStt("when do you open")
    engines.lm = FakeLm([Reply("We open at ten.")])
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert peer.published("transcript") == [
        {"role": "user", "text": "when do you open"},
        {"role": "agent", "text": "We open at ten."},
    ]
    assert peer.published("error") == []
    assert (engines.hoarse.spoken, engines.tts.spoken) == (["We open at ten."], ["open at ten."])
    assert engines.dead_lm.is_closed


async def test_without_voice_activity_detection_there_is_no_session(broker: Redis) -> None:
    engines = FakeEngines()
    engines.vad.failure = EngineError("no model")
    peer = SessionPeer()
    session = session_of(peer, engines, broker)
    peer.connect(session)
    peer.tell(peer.next_frame())
    with pytest.raises(ExceptionGroup) as raised:
        await session.run()
    assert raised.group_contains(EngineError, match="no model")
    assert engines.vad.open_streams == 0
    assert engines.lm.closed
