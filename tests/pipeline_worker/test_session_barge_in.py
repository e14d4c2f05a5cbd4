import pytest

from pipeline_worker.engines.protocols import Reply
from pipeline_worker.speaking.voice import Patience
from pipeline_worker.turns.conversation import Utterance
from shared.agent import Greeting
from shared.events import (
    FlushPlayout,
    InterruptRequested,
    PausePlayout,
    ResumePlayout,
    TextReceived,
)
from shared.io.broker import Redis
from tests.fakes.engines import FakeEngines, FakeLm, FakeStt
from tests.fakes.session_peer import SESSION, SessionPeer
from tests.pipeline_worker.sessions import GREETING, WORD, SlowStt, connected, engines_with


async def test_barge_in_silences_the_agent_and_keeps_only_what_was_heard(broker: Redis) -> None:
    engines = engines_with(FakeStt("one", "stop"), FakeLm([Reply("We open at ten every day.")]))
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.until(lambda: peer.audio_end >= 3 * WORD)
        peer.play(2 * WORD + 100)
        await peer.speak(400)
        await peer.until(lambda: len(peer.all(FlushPlayout)) == 1)
        await peer.be_quiet(800)
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening", "thinking", "speaking", "listening")
    assert peer.published("transcript")[1:3] == [
        {"role": "agent", "text": "We open", "interrupted": True},
        {"role": "user", "text": "stop"},
    ]
    assert engines.lm.asked[1] == (
        Utterance("user", "one"),
        Utterance("agent", "We open", interrupted=True),
        Utterance("user", "stop"),
    )


async def test_a_cough_silences_the_agent_only_for_a_moment_and_is_not_shown(broker: Redis) -> None:
    engines = engines_with(FakeStt("one", "hm"), FakeLm([Reply("We open at ten.")]))
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.until(lambda: len(peer.audio) > 0)
        await peer.speak(120)
        await peer.be_quiet(900)
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert peer.all(FlushPlayout) == []
    assert [type(item) for item in peer.sent if isinstance(item, PausePlayout | ResumePlayout)] == [
        PausePlayout,
        ResumePlayout,
    ]
    assert engines.stt.cancelled == 1
    assert [fields["role"] for fields in peer.published("transcript")] == ["user", "agent"]
    assert {"role": "user", "text": "hm"} not in peer.published("transcript-partial")


async def test_the_agent_goes_on_where_it_stopped_after_a_backchannel(broker: Redis) -> None:
    hours = "We open at ten on every day of the week but on Sunday when we open at two."
    engines = engines_with(FakeStt("one", "uh-huh"), FakeLm([Reply(hours)]))
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.until(lambda: peer.audio_end >= 8 * WORD)
        peer.play(2 * WORD)
        await peer.speak(400)
        assert len(peer.all(PausePlayout)) == 1
        await peer.be_quiet(300)
        await peer.until(lambda: len(peer.all(ResumePlayout)) == 1)
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert peer.all(FlushPlayout) == []
    assert [fields["text"] for fields in peer.published("transcript")] == ["one", hours]
    (metrics,) = peer.published("metrics")
    assert (metrics["interrupted"], metrics["falseInterruptions"], metrics["resumed"]) == (False, 1, 1)


async def test_words_over_the_last_words_that_are_answered_are_no_false_interruption(broker: Redis) -> None:
    stt = SlowStt("one", "yes")
    async with connected(engines_with(stt, FakeLm([Reply("At ten?")], [Reply("Good.")])), broker) as peer:
        await peer.ask()
        await peer.until(lambda: peer.audio_end == 2 * WORD)
        stt.may_finish.clear()
        await peer.speak(300)
        await peer.be_quiet(300)
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "thinking")
        stt.may_finish.set()
        await peer.until(lambda: peer.audio_end > 2 * WORD)
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("metrics")) == 2)
    first, second = peer.published("metrics")
    assert (first["interrupted"], first["falseInterruptions"], first["resumed"]) == (False, 0, 0)
    assert "endpointMs" in second


async def test_a_yes_over_the_last_word_of_the_agents_question_is_answered(broker: Redis) -> None:
    engines = engines_with(FakeStt("one", "yes"), FakeLm([Reply("At ten is that right?")], [Reply("Good.")]))
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.until(lambda: peer.audio_end == 5 * WORD)
        peer.play(4 * WORD)
        await peer.speak(400)
        await peer.be_quiet(300)
        await peer.until(lambda: len(peer.all(ResumePlayout)) == 1)
        await peer.play_turn()
        await peer.until(lambda: peer.audio_end > 5 * WORD)
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 4)
    assert peer.all(FlushPlayout) == []
    assert [fields["text"] for fields in peer.published("transcript")] == [
        "one",
        "At ten is that right?",
        "yes",
        "Good.",
    ]


async def test_a_short_word_is_enough_to_interrupt(broker: Redis) -> None:
    engines = engines_with(FakeStt("one", "no"), FakeLm([Reply("We open at ten.")]))
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.until(lambda: peer.audio_end == 4 * WORD)
        peer.play(2 * WORD)
        await peer.speak(300)
        await peer.be_quiet(800)
        await peer.until(lambda: len(peer.published("transcript")) == 3)
    assert peer.published("transcript")[1:] == [
        {"role": "agent", "text": "We open", "interrupted": True},
        {"role": "user", "text": "no"},
    ]


@pytest.mark.parametrize("thinking", [True, False])
async def test_a_few_words_to_the_agent_are_answered_though_they_are_understood_after_their_end(
    broker: Redis, thinking: bool
) -> None:
    stt, lm = SlowStt("one", "no on Friday"), FakeLm([Reply("We open at ten.")], [Reply("At two.")])
    async with connected(engines_with(stt, lm), broker) as peer:
        if thinking:
            lm.may_answer.clear()
        await peer.ask()
        if thinking:
            await peer.until_status("listening", "thinking")
        else:
            await peer.until(lambda: peer.audio_end == 4 * WORD)
            peer.play(2 * WORD)
        stt.may_hear.clear()
        stt.may_finish.clear()
        await peer.speak(300)
        await peer.be_quiet(1400)
        stt.may_hear.set()
        if not thinking:
            await peer.until(lambda: peer.published("transcript")[-1]["role"] == "agent")
        stt.may_finish.set()
        await peer.until(lambda: peer.published("transcript")[-1]["text"] == "no on Friday")
        heard = peer.audio_end
        lm.may_answer.set()
        await peer.until(lambda: peer.audio_end > heard)
        await peer.play_turn()
        await peer.until(lambda: peer.published("transcript")[-1]["text"] == "At two.")


async def test_an_agent_that_thinks_is_interrupted_before_it_says_a_word(broker: Redis) -> None:
    engines = engines_with(FakeStt("when do you", "open on Sunday"))
    engines.lm.may_answer.clear()
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.until(lambda: len(peer.published("transcript")) == 1)
        await peer.speak(400)
        await peer.until_status("listening", "thinking", "listening")
        engines.lm.may_answer.set()
        await peer.be_quiet(1400)
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 3)
    assert peer.all(FlushPlayout) == []
    assert engines.lm.asked[-1] == (Utterance("user", "when do you"), Utterance("user", "open on Sunday"))


async def test_a_greeting_that_may_not_be_interrupted_is_heard_out(broker: Redis) -> None:
    greeting = Greeting(text="This call is recorded.", interruptible=False)
    async with connected(FakeEngines(), broker, greeting=greeting) as peer:
        await peer.until(lambda: len(peer.audio) > 0)
        await peer.ask()
        await peer.play_turn()
        await peer.until_status("speaking", "listening")
    assert peer.all(FlushPlayout) == []
    assert peer.published("transcript") == [{"role": "agent", "text": "This call is recorded."}]


async def test_typed_text_is_an_utterance_and_interrupts(broker: Redis) -> None:
    engines = engines_with(lm=FakeLm([Reply("We open at ten.")]))
    async with connected(engines, broker, greeting=Greeting(text="Hello there my friend.")) as peer:
        await peer.until(lambda: peer.audio_end >= 2 * WORD)
        peer.play(WORD)
        peer.tell(TextReceived(session=SESSION, text=" when do you open "))
        await peer.until_status("speaking", "listening", "thinking", "speaking")
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 3)
    assert peer.published("transcript") == [
        {"role": "agent", "text": "Hello", "interrupted": True},
        {"role": "user", "text": "when do you open"},
        {"role": "agent", "text": "We open at ten."},
    ]


async def test_the_stop_button_silences_the_agent(broker: Redis) -> None:
    async with connected(FakeEngines(), broker, greeting=GREETING) as peer:
        await peer.until(lambda: len(peer.audio) > 0)
        peer.tell(InterruptRequested(session=SESSION))
        await peer.until_status("speaking", "listening")
    assert len(peer.all(FlushPlayout)) == 1
    assert peer.published("transcript") == []


async def test_a_flush_that_is_never_reported_does_not_block_the_session(broker: Redis) -> None:
    engines = FakeEngines()
    peer = SessionPeer(engines.vad)
    peer.reports_flush = False
    patience = Patience(flush_s=0.01)
    async with connected(engines, broker, patience=patience, peer=peer, greeting=GREETING):
        await peer.until(lambda: len(peer.audio) > 0)
        peer.tell(TextReceived(session=SESSION, text="hi"))
        await peer.until_status("speaking", "listening", "thinking", "speaking")
