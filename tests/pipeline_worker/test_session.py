from pipeline_worker.engines.protocols import Reply, ToolCall
from pipeline_worker.turns.conversation import NOT_UNDERSTOOD, Utterance
from shared import keys
from shared.agent import Greeting, Idle, Limits
from shared.agent_tools import Tool
from shared.events import (
    AgentSpeechEnded,
    EndSession,
    FlushPlayout,
    MuteChanged,
    TalkChanged,
    TextReceived,
)
from shared.io.broker import Redis
from tests.fakes.engines import FakeEngines, FakeLm, FakeStt
from tests.fakes.session_peer import EPOCH, SESSION, SessionPeer
from tests.pipeline_worker.sessions import AGENT, GREETING, WORD, connected, engines_with, session_of


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


async def test_empty_text_is_no_utterance(broker: Redis) -> None:
    engines = FakeEngines()
    async with connected(engines, broker) as peer:
        peer.tell(TextReceived(session=SESSION, text="  "))
        peer.tell(TextReceived(session=SESSION, text="hi"))
        await peer.play_turn()
    assert [len(asked) for asked in engines.lm.asked] == [1]


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
