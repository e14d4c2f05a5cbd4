import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.engines.catalog import Engines
from pipeline_worker.engines.fallback.language_model import FallbackLanguageModel
from pipeline_worker.engines.fallback.speech_to_text import FallbackSpeechToText
from pipeline_worker.engines.fallback.text_to_speech import FallbackTextToSpeech
from pipeline_worker.engines.guard import EngineGuard, Guarded
from pipeline_worker.engines.protocols import Entry, Reply, ToolCall, Transcript
from pipeline_worker.media_link import MediaLink
from pipeline_worker.session import ConversationSession
from pipeline_worker.speaking.voice import Patience
from pipeline_worker.tools.toolbox import Toolbox, Toolboxes
from pipeline_worker.turns.conversation import NOT_UNDERSTOOD, Utterance
from shared import keys
from shared.agent import AgentDefinition, Greeting, Idle, Limits
from shared.agent_tools import Tool
from shared.audio import Pcm
from shared.errors import EngineError
from shared.events import (
    AgentSpeechEnded,
    EndSession,
    FlushPlayout,
    InterruptRequested,
    MuteChanged,
    PausePlayout,
    ResumePlayout,
    SessionClosed,
    TalkChanged,
    TextReceived,
)
from shared.io.broker import Redis
from tests.fakes.engines import FakeEngines, FakeLm, FakeStt, FakeSttStream, FakeTts
from tests.fakes.session_peer import EPOCH, SESSION, SessionPeer
from tests.fakes.unreliable_engines import UnreliableLm, UnreliableStt

T = TypeVar("T")

AGENT = AgentDefinition(id="front-desk", name="Front desk")
GREETING = Greeting(text="Hello there.")
WORD = 4_000


PATIENCE = Patience(flush_s=5)


def session_of(
    peer: SessionPeer,
    engines: FakeEngines,
    broker: Redis,
    retention_s: int = 0,
    patience: Patience = PATIENCE,
    toolbox: Toolbox | None = None,
    **agent: Any,
) -> ConversationSession:
    definition = AGENT.model_copy(update=agent)
    link = MediaLink(peer.send, "media-1", SESSION, EPOCH)
    store = ConversationStore(broker, SESSION, 100)
    return ConversationSession(definition, engines.open(AGENT.id), link, store, retention_s, patience, toolbox)


@asynccontextmanager
async def connected(
    engines: FakeEngines,
    broker: Redis,
    retention_s: int = 0,
    patience: Patience = PATIENCE,
    peer: SessionPeer | None = None,
    **agent: Any,
) -> AsyncIterator[SessionPeer]:
    """A session with a connected caller. On leaving, it hangs up and must have freed everything."""
    peer = peer or SessionPeer(engines.vad)
    toolboxes = Toolboxes({AGENT.id: AGENT.model_copy(update=agent)})
    await toolboxes.start()
    toolbox = toolboxes.open(AGENT.id) if "tools" in agent else None
    session = session_of(peer, engines, broker, retention_s, patience, toolbox, **agent)
    before = asyncio.all_tasks()
    running = asyncio.create_task(session.run())
    await asyncio.sleep(0)  # as with the session host, nothing arrives before it runs
    peer.connect(session)
    try:
        yield peer
    finally:
        if not running.done():
            peer.tell(SessionClosed(session=SESSION))
        async with asyncio.timeout(5):
            await running
        assert asyncio.all_tasks() <= before
        assert engines.vad.open_streams == 0
        assert engines.stt.open_streams == 0
        assert engines.lm.active == 0
        assert engines.lm.closed
        await toolboxes.close()


def engines_with(stt: FakeStt | None = None, lm: FakeLm | None = None) -> FakeEngines:
    engines = FakeEngines()
    engines.stt = stt or engines.stt
    engines.lm = lm or engines.lm
    return engines


class SlowStt(FakeStt):
    """Hears nothing before `may_hear`, and has no final text before `may_finish`."""

    def __init__(self, *texts: str | EngineError) -> None:
        super().__init__(*texts)
        self.may_hear, self.may_finish = asyncio.Event(), asyncio.Event()
        self.may_hear.set()
        self.may_finish.set()

    def open(self) -> FakeSttStream:
        self.open_streams += 1
        return SlowSttStream(self)


class SlowSttStream(FakeSttStream):
    def __init__(self, stt: SlowStt) -> None:
        super().__init__(stt, [])
        self._slow = stt

    async def push(self, samples: Pcm) -> Transcript | None:
        await self._slow.may_hear.wait()
        return await super().push(samples)

    async def finish(self) -> Transcript:
        await self._slow.may_finish.wait()
        return await super().finish()


async def test_the_agent_greets_and_then_listens(broker: Redis) -> None:
    async with connected(FakeEngines(), broker, greeting=GREETING) as peer:
        await peer.play_turn()
        await peer.until_status("speaking", "listening")
    assert peer.published("transcript-partial") == [{"role": "agent", "text": "Hello there."}]
    assert peer.published("transcript") == [{"role": "agent", "text": "Hello there."}]
    assert peer.all(AgentSpeechEnded) == [AgentSpeechEnded(session=SESSION, epoch=EPOCH, end_sample=2 * WORD)]


async def test_without_a_greeting_it_listens(broker: Redis) -> None:
    async with connected(FakeEngines(), broker) as peer:
        await peer.until_status("listening")
    assert peer.audio == []


async def test_a_question_is_transcribed_and_answered(broker: Redis) -> None:
    engines = engines_with(FakeStt("when do you open"), FakeLm([Reply("We open at ten. "), Reply("Anything else?")]))
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert engines.lm.asked == [(Utterance("user", "when do you open"),)]
    assert engines.tts.spoken == ["We open at ten.", "Anything else?"]
    assert peer.published("transcript") == [
        {"role": "user", "text": "when do you open"},
        {"role": "agent", "text": "We open at ten. Anything else?"},
    ]
    partials = [(fields["role"], fields["text"]) for fields in peer.published("transcript-partial")]
    assert partials[:2] == [("user", "when"), ("user", "when do you open")]
    assert partials[-1] == ("agent", "We open at ten. Anything else?")
    assert all(partials[-1][1].startswith(text) for role, text in partials if role == "agent")


async def test_interim_text_is_shown_once(broker: Redis) -> None:
    """The fake reports "hello" twice, as recognisers do when new sound changes nothing."""
    async with connected(
        engines_with(FakeStt("hello", "hello"), FakeLm([Reply("Hi.")], [Reply("Yes?")])), broker
    ) as peer:
        for turn in (1, 2):
            await peer.ask()
            await peer.play_turn()
            await peer.until_status(*["listening", "thinking", "speaking"] * turn, "listening")
    assert [f["text"] for f in peer.published("transcript-partial") if f["role"] == "user"] == ["hello", "hello"]


async def test_the_recogniser_hears_the_onset_and_what_came_before_it(broker: Redis) -> None:
    engines = engines_with(FakeStt("yes"))
    async with connected(engines, broker) as peer:
        await peer.be_quiet(1000)
        await peer.ask()
        await peer.until_status("listening", "thinking", "speaking")
    heard = [level for piece in engines.stt.heard[0] for level in piece.tolist()]
    onset = next(index for index, level in enumerate(heard) if level)
    assert 300 * 16 <= onset <= 400 * 16
    assert sum(1 for level in heard if level) == 600 * 16


async def test_agent_audio_is_one_stream_without_holes_over_all_turns(broker: Redis) -> None:
    engines = engines_with(FakeStt("one", "two"))
    async with connected(engines, broker, greeting=GREETING) as peer:
        await peer.play_turn()
        for _ in range(2):
            await peer.ask()
            await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 5)
    assert [frame.seq for frame in peer.audio] == list(range(len(peer.audio)))
    position = 0
    for frame in peer.audio:
        assert frame.first_sample == position
        position = frame.end_sample


async def test_speech_that_is_not_understood_is_answered_but_not_shown(broker: Redis) -> None:
    engines = engines_with(FakeStt(""), FakeLm([Reply("Sorry?")]))
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert engines.lm.asked == [(NOT_UNDERSTOOD,)]
    assert peer.published("transcript") == [{"role": "agent", "text": "Sorry?"}]


async def test_a_cough_while_the_agent_listens_is_not_answered(broker: Redis) -> None:
    engines = engines_with(FakeStt("", "one"))
    async with connected(engines, broker) as peer:
        await peer.speak(120)
        await peer.be_quiet(1600)
        await peer.until_status("listening", "thinking", "listening")
        await peer.ask()
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 2)
    assert engines.lm.asked == [(Utterance("user", "one"),)]


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


async def test_a_reply_is_prepared_while_the_caller_may_still_go_on(broker: Redis) -> None:
    engines = engines_with(FakeStt("when do you open"))
    async with connected(engines, broker) as peer:
        await peer.speak(600)
        await peer.be_quiet(440)
        assert engines.lm.asked == [(Utterance("user", "when do you open"),)]
        assert peer.statuses == ["listening"]
        assert peer.audio == []
        await peer.be_quiet(160)
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert len(engines.lm.asked) == 1
    assert peer.published("metrics")[0]["speculativeHit"] is True
    assert [fields["text"] for fields in peer.published("transcript")] == ["when do you open", "Yes."]


async def test_a_prepared_reply_is_thrown_away_unheard_when_the_caller_goes_on(broker: Redis) -> None:
    unheard = [Reply("At ten.")]
    engines = engines_with(FakeStt("when do you open"), FakeLm(unheard, unheard, [Reply("On Sunday at two.")]))
    async with connected(engines, broker) as peer:
        await peer.speak(600)
        await peer.be_quiet(440)
        engines.stt.texts[0] = "when do you open on Sunday"
        await peer.speak(400)
        await peer.be_quiet(1000)
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert engines.lm.asked[0] == (Utterance("user", "when do you open"),)
    assert engines.lm.asked[-1] == (Utterance("user", "when do you open on Sunday"),)
    assert [fields["text"] for fields in peer.published("transcript")] == [
        "when do you open on Sunday",
        "On Sunday at two.",
    ]
    assert all("At" not in fields["text"] for fields in peer.published("transcript-partial"))


async def test_text_typed_while_the_caller_speaks_loses_nothing_of_what_they_say(broker: Redis) -> None:
    engines = engines_with(FakeStt("my number is on the screen"))
    async with connected(engines, broker) as peer:
        await peer.speak(400)
        peer.tell(TextReceived(session=SESSION, text="12345"))
        await peer.until(lambda: len(peer.published("transcript")) == 1)
        await peer.speak(400)
        await peer.be_quiet(800)
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 3)
    assert engines.lm.asked[-1] == (Utterance("user", "12345"), Utterance("user", "my number is on the screen"))


async def test_a_caller_who_says_nothing_is_prompted_and_then_hung_up_on(broker: Redis) -> None:
    idle = Idle(prompt_after_s=5, prompts=("Still there?",), farewell="Goodbye then.")
    async with connected(FakeEngines(), broker, idle=idle) as peer:
        await peer.until_status("listening")
        peer.skip_silence(5_000)
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 1)
        peer.skip_silence(5_000)
        await peer.play_turn()
        await peer.until(lambda: len(peer.all(EndSession)) == 1)
    assert [fields["text"] for fields in peer.published("transcript")] == ["Still there?", "Goodbye then."]
    assert peer.all(EndSession)[0].reason == "user_idle"


async def test_with_a_button_to_talk_its_release_ends_the_utterance(broker: Redis) -> None:
    engines = engines_with(FakeStt("when do you open"))
    taking = AGENT.turn_taking.model_copy(update={"mode": "push_to_talk"})
    async with connected(engines, broker, greeting=GREETING, turn_taking=taking) as peer:
        await peer.until(lambda: len(peer.audio) > 0)
        peer.tell(TalkChanged(session=SESSION, pressed=True))
        await peer.until(lambda: len(peer.all(FlushPlayout)) == 1)
        for _ in range(30):
            peer.tell(peer.next_frame())
        peer.tell(TalkChanged(session=SESSION, pressed=False))
        await peer.until(lambda: peer.statuses[-1:] == ["listening"])
        for _ in range(10):
            peer.tell(peer.next_frame(0))
        await peer.until(lambda: len(engines.lm.asked) == 1)
    assert engines.vad.heard_samples == 0
    assert engines.lm.asked[0][-1] == Utterance("user", "when do you open")


async def test_an_agent_with_automatic_turn_taking_ignores_the_push_to_talk_button(broker: Redis) -> None:
    async with connected(FakeEngines(), broker, greeting=GREETING) as peer:
        await peer.until(lambda: len(peer.audio) > 0)
        peer.tell(TalkChanged(session=SESSION, pressed=True))
        peer.tell(TalkChanged(session=SESSION, pressed=False))
        await peer.play_turn()
        await peer.until_status("speaking", "listening")
    assert peer.all(FlushPlayout) == []


async def test_a_caller_who_switches_the_microphone_off_is_answered_at_once(broker: Redis) -> None:
    engines = engines_with(FakeStt("hello"))
    async with connected(engines, broker) as peer:
        await peer.speak(400)
        peer.tell(MuteChanged(session=SESSION, muted=True))
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")


async def test_what_a_tool_did_is_in_the_conversation_and_no_tool_runs_on_speculation(broker: Redis) -> None:
    tool = Tool.model_validate({"builtin": "end_call"})
    call = Reply("", tool_calls=(ToolCall("1", "end_call", "{}"),))
    engines = engines_with(FakeStt("that is all goodbye"), FakeLm([call]))
    async with connected(engines, broker, tools=(tool,)) as peer:
        await peer.speak(600)
        await peer.be_quiet(440)
        assert len(engines.lm.asked) == 1
        assert peer.all(EndSession) == []
        await peer.be_quiet(160)
        await peer.until(lambda: len(peer.all(EndSession)) == 1)
    assert [fields["text"] for fields in peer.published("transcript")] == ["that is all goodbye"]


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


async def test_empty_text_is_no_utterance(broker: Redis) -> None:
    engines = FakeEngines()
    async with connected(engines, broker) as peer:
        peer.tell(TextReceived(session=SESSION, text="  "))
        peer.tell(TextReceived(session=SESSION, text="hi"))
        await peer.play_turn()
    assert [len(asked) for asked in engines.lm.asked] == [1]


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


async def test_the_agent_hangs_up_after_its_farewell_was_heard(broker: Redis) -> None:
    engines = engines_with(FakeStt("goodbye"), FakeLm([Reply("Goodbye.", end_call=True)]))
    async with connected(engines, broker) as peer:
        await peer.ask()
        await peer.play_turn()
        await peer.until(lambda: len(peer.all(EndSession)) == 1)
    assert peer.all(EndSession) == [EndSession(session=SESSION, epoch=EPOCH, reason="agent_hangup", after_playout=True)]
    last_events = [type(item).__name__ for item in peer.sent[-2:]]
    assert last_events == ["PublishEvent", "EndSession"]
    assert peer.published("transcript")[-1] == {"role": "agent", "text": "Goodbye."}


async def test_a_session_ends_at_its_longest_duration(broker: Redis) -> None:
    async with connected(FakeEngines(), broker, limits=Limits(max_duration_s=10)) as peer:
        peer.skip_silence(9_990)
        await peer.be_quiet(20)
        await peer.until(lambda: len(peer.all(EndSession)) == 1)
    assert peer.all(EndSession)[0].reason == "max_duration"


async def test_audio_stays_two_seconds_ahead_of_what_was_heard(broker: Redis) -> None:
    async with connected(FakeEngines(), broker, greeting=Greeting(text="word " * 40)) as peer:
        await peer.until(lambda: peer.audio_end >= 32_000)
        peer.play(16_000)
        await peer.until(lambda: peer.audio_end >= 48_000)
        assert peer.audio_end < 48_000 + 3_200
        await peer.play_turn()
    assert peer.audio_end == 40 * WORD


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


async def test_a_session_that_is_ended_from_here_says_so_once(broker: Redis) -> None:
    peer = SessionPeer()
    session = session_of(peer, FakeEngines(), broker)
    peer.connect(session)
    session.end("server_shutdown")
    session.end("server_shutdown")
    await session.run()
    assert [end.reason for end in peer.all(EndSession)] == ["server_shutdown"]


async def test_another_epochs_audio_is_not_heard(broker: Redis) -> None:
    engines = FakeEngines()
    async with connected(engines, broker) as peer:
        peer.tell(peer.next_frame()._replace(epoch=EPOCH + 1))
        await peer.be_quiet(20)
    assert engines.vad.heard_samples == 320


async def test_after_hang_up_nothing_is_left_in_redis(broker: Redis) -> None:
    async with connected(engines_with(FakeStt("one")), broker, greeting=GREETING) as peer:
        await peer.play_turn()
        await peer.ask()
        await peer.until(lambda: len(peer.published("transcript")) == 2)
    assert await broker.keys("*") == []


async def test_what_was_said_is_kept_as_long_as_configured(broker: Redis) -> None:
    async with connected(FakeEngines(), broker, retention_s=500, greeting=GREETING) as peer:
        await peer.until(lambda: peer.audio_end == 2 * WORD)
        peer.play(WORD)
    assert await broker.lrange(keys.conversation(SESSION), 0, -1) == [
        b'{"role": "agent", "text": "Hello", "interrupted": true}'
    ]
    assert 100 < await broker.ttl(keys.conversation(SESSION)) <= 500
