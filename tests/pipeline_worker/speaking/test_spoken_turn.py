import asyncio
from collections.abc import AsyncGenerator

import pytest
import structlog

from pipeline_worker.engines.fallback.text_to_speech import FallbackTextToSpeech
from pipeline_worker.engines.guard import EngineGuard, Guarded
from pipeline_worker.engines.protocols import Reply, SpeechPiece, TextToSpeech
from pipeline_worker.media_link import MediaLink
from pipeline_worker.speaking.downlink import Downlink
from pipeline_worker.speaking.spoken_text import Heard
from pipeline_worker.speaking.spoken_turn import SpokenTurn
from pipeline_worker.telemetry.turn_meter import TurnMeter
from shared.errors import EngineError
from shared.events import PlayoutReported
from tests.fakes.engines import FakeTts
from tests.fakes.session_peer import EPOCH, SESSION, SessionPeer
from tests.fakes.unreliable_engines import UnreliableTts, sound
from tests.fakes.virtual_time import in_virtual_time

WORD = FakeTts.word_samples


class Turn:
    def __init__(self, prepared: bool = False, tts: TextToSpeech | None = None) -> None:
        self.peer = SessionPeer()
        self.tts = FakeTts()
        voice = tts or self.tts
        self.told: list[str] = []
        self.downlink = Downlink(MediaLink(self.peer.send, "media-1", SESSION, EPOCH), voice.sample_rate)
        meter = TurnMeter("a", lambda event_type, fields: None)
        self.turn = SpokenTurn(voice, self.downlink, "en", meter, lambda: self.told.append("<first audio>"), prepared)

    async def speak(self, *replies: Reply) -> bool:
        return await self.turn.speak(_each(*replies))

    def play(self, up_to: int) -> None:
        self.downlink.on_report(PlayoutReported(session=SESSION, played_up_to=up_to, state="playing"))
        if (text := self.turn.newly_heard()) is not None:
            self.told.append(text)


async def _each(*replies: Reply) -> AsyncGenerator[Reply, None]:
    for reply in replies:
        yield reply


async def test_sentences_are_spoken_as_they_form_whatever_the_pieces() -> None:
    turn = Turn()
    assert not await turn.speak(Reply("We are o"), Reply("pen. Come "), Reply("in"))
    assert turn.tts.spoken == ["We are open.", "Come in"]
    assert turn.peer.audio_end == 5 * WORD


async def test_of_a_reply_without_end_ten_thousand_characters_are_spoken() -> None:
    """A model that went astray had kept the agent talking, and filled the conversation."""
    pieces = closed = 0

    async def runaway() -> AsyncGenerator[Reply, None]:
        nonlocal pieces, closed
        try:
            while True:
                pieces += 1
                yield Reply("We go on and on. ")
        finally:
            closed += 1

    turn = Turn()

    async def play() -> None:
        while True:
            turn.play(turn.peer.audio_end)
            await asyncio.sleep(0)

    playing = asyncio.create_task(play())
    with structlog.testing.capture_logs() as logs:
        await turn.turn.speak(runaway())
    playing.cancel()
    assert sum(map(len, turn.tts.spoken)) <= 10_000
    assert (pieces, closed) == (10_000 // len("We go on and on. ") + 1, 1)
    assert logs == [{"event": "reply_cut", "log_level": "warning", "session_id": SESSION, "characters": 10_000}]


async def test_one_piece_of_ten_megabytes_is_cut() -> None:
    turn = Turn(prepared=True)
    speaking = asyncio.create_task(turn.speak(Reply("on " * 3_000_000)))
    for _ in range(5):
        await asyncio.sleep(0)
    waiting = turn.turn.memory().waiting
    assert 0 < len(waiting) <= 10_000
    speaking.cancel()
    await asyncio.wait({speaking})


async def test_text_appears_as_its_words_are_heard() -> None:
    turn = Turn()
    await turn.speak(Reply("We open. At ten."))
    assert turn.told == ["<first audio>"]
    turn.play(WORD)
    turn.play(WORD + 1)
    turn.play(2 * WORD)
    turn.play(3 * WORD)
    assert turn.told == ["<first audio>", "We", "We open.", "We open. At"]


async def test_a_prepared_turn_without_words_does_not_end_before_it_is_released() -> None:
    turn = Turn(prepared=True)
    speaking = asyncio.create_task(turn.speak(Reply("", end_call=True)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not speaking.done()
    turn.turn.released.set()
    assert await speaking


async def test_what_was_heard_is_complete_when_all_of_it_was_spoken_and_played() -> None:
    turn = Turn()
    await turn.speak(Reply("We open. At ten."))
    turn.play(3 * WORD)
    assert turn.turn.heard() == Heard("We open. At", False)
    turn.play(4 * WORD)
    assert turn.turn.heard() == Heard("We open. At ten.", True)


async def test_the_end_of_the_call_may_come_with_any_piece() -> None:
    assert await Turn().speak(Reply("Bye.", end_call=True), Reply(" Bye."))
    assert await Turn().speak(Reply("", end_call=True))


async def test_a_reply_without_words_makes_no_sound() -> None:
    turn = Turn()
    await turn.speak(Reply(" "))
    assert turn.told == []
    assert turn.peer.sent == []
    assert turn.turn.heard() == Heard("", True)


async def test_a_turn_whose_voice_failed_is_incomplete_and_may_say_something_else() -> None:
    turn = Turn()
    turn.tts.failure, turn.tts.fails = EngineError("hoarse"), 1
    with pytest.raises(EngineError):
        await turn.speak(Reply("We open at ten."))
    await turn.downlink.send_rest()
    turn.play(WORD)
    assert turn.turn.heard() == Heard("We", False)
    await turn.turn.add("I am sorry. Again?")
    assert turn.tts.spoken == ["We open at ten.", "I am sorry.", "Again?"]
    turn.play(2 * WORD)
    assert turn.turn.heard() == Heard("We I", False)
    turn.play(5 * WORD)
    assert turn.turn.heard() == Heard("We I am sorry. Again?", False)


@in_virtual_time
async def test_no_word_counts_as_heard_that_was_not_when_a_voice_without_word_times_broke_off() -> None:
    """Both say 12 characters a second: the first stops within "every", and the fallback repeats that word."""
    text, rate = "We are open, every day, from five.", 24_000
    first = UnreliableTts([SpeechPiece(sound(17 * rate // 12), ()), 60])
    spare = UnreliableTts([SpeechPiece(sound(21 * rate // 12), ())])
    watched = [Guarded(tts, EngineGuard("text_to_speech", "v", 3)) for tts in (first, spare)]
    turn = Turn(tts=FallbackTextToSpeech(*watched))
    speaking = asyncio.create_task(turn.speak(Reply(text)))
    for played in range(40):
        turn.play(played * rate // 12)
        await asyncio.sleep(1)
        said = played if played <= 17 else max(17, 13 + played - 17)
        assert len(turn.turn.heard().text) <= said, played
    await speaking
    assert spare.texts == ["every day, from five."]
    assert turn.turn.heard() == Heard(text, True)
