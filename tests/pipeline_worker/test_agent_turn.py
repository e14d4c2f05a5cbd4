from collections.abc import AsyncIterator

import pytest

from pipeline_worker.agent_turn import AgentTurn
from pipeline_worker.core.spoken_text import Heard
from pipeline_worker.downlink import Downlink
from pipeline_worker.engines.protocols import Reply
from pipeline_worker.media_link import MediaLink
from shared.errors import EngineError
from shared.events import PlayoutReported
from tests.fakes.engines import FakeTts
from tests.fakes.session_peer import EPOCH, SESSION, SessionPeer

WORD = FakeTts.word_samples


class Turn:
    def __init__(self) -> None:
        self.peer = SessionPeer()
        self.tts = FakeTts()
        self.told: list[str] = []
        self.downlink = Downlink(MediaLink(self.peer.send, "media-1", SESSION, EPOCH), FakeTts.sample_rate)
        self.turn = AgentTurn(self.tts, self.downlink, 5, lambda: self.told.append("<first audio>"), self.told.append)

    async def speak(self, *replies: Reply) -> bool:
        return await self.turn.speak(_each(*replies))

    def play(self, up_to: int) -> None:
        self.downlink.on_report(PlayoutReported(session=SESSION, played_up_to=up_to, state="playing"))
        self.turn.on_playout()


async def _each(*replies: Reply) -> AsyncIterator[Reply]:
    for reply in replies:
        yield reply


async def test_sentences_are_spoken_as_they_form_whatever_the_pieces() -> None:
    turn = Turn()
    assert not await turn.speak(Reply("We are o"), Reply("pen. Come "), Reply("in"))
    assert turn.tts.spoken == ["We are open.", "Come in"]
    assert turn.peer.audio_end == 5 * WORD


async def test_text_appears_when_its_sentence_begins_to_be_heard() -> None:
    turn = Turn()
    await turn.speak(Reply("We open. At ten."))
    assert turn.told == ["<first audio>", "We open."]
    turn.play(2 * WORD)
    assert turn.told == ["<first audio>", "We open."]
    turn.play(2 * WORD + 1)
    turn.play(3 * WORD)
    assert turn.told == ["<first audio>", "We open.", "We open. At ten."]


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


async def test_a_failing_voice_leaves_an_incomplete_turn() -> None:
    turn = Turn()
    turn.tts.failure = EngineError("hoarse")
    with pytest.raises(EngineError):
        await turn.speak(Reply("We open at ten."))
    await turn.downlink.send_rest()
    turn.play(WORD)
    assert turn.turn.heard() == Heard("We", False)
