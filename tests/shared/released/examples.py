"""One message of each kind with all its fields set, and the other things that processes leave for each other."""

from pipeline_worker.turns.conversation import Entry, ToolCall, ToolUse, Utterance
from pipeline_worker.turns.memory import Memory, SentenceMemory, TurnMemory
from pipeline_worker.turns.state import AgentTurn
from shared import events
from shared.events import Message, client_event
from shared.frames import AudioFrame, SilenceRun
from shared.worker_report import WorkerReport

SESSION = "s-7Qx"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RESUME = events.Resume(generation=2, epoch=3, pipeline_worker="p1", media_worker="m0", seq=41, published=17)
OPENING = events.OpenSession(
    session=SESSION,
    gateway="g1",
    agent_id="front-desk",
    sdp="v=0\r\n",
    pool="gpu",
    created_ms=1_760_000_000_000,
    max_duration_s=1_800,
    resume_tokens=("ab" * 32, "cd" * 32),
    resume=RESUME,
    api_key="website",
    counted_in=("antiphon:{counters}:key:website",),
    survives_reload=True,
    traceparent=TRACEPARENT,
)
JOB = events.StartPipeline(
    session=SESSION,
    agent_id="front-desk",
    media_worker="m1",
    epoch=4,
    generation=2,
    pool="gpu",
    created_ms=1_760_000_000_000,
    max_duration_s=1_800,
    resumed=True,
    traceparent=TRACEPARENT,
)
_TRANSCRIPT = {"role": "agent", "text": "Grüß dich, wie geht’s?", "final": True}
EVENT = client_event("transcript", 42, _TRANSCRIPT)

MESSAGES: tuple[Message, ...] = (
    OPENING,
    events.UpdateOffer(session=SESSION, gateway="g1", sdp="v=0\r\n", offer_number=2),
    events.GatewayAttached(session=SESSION, gateway="g2", resume_tokens=("ef" * 32, "ab" * 32)),
    events.GatewayDetached(session=SESSION, gateway="g1"),
    events.CloseSession(session=SESSION, reason="moved", generation=3),
    events.OfferAnswered(session=SESSION, sdp="v=0\r\n", offer_number=2),
    events.OfferRefused(
        session=SESSION, code="no_capacity", message="full", retry_after_ms=5_000, final=False, offer_number=2
    ),
    events.ClientEventSent(session=SESSION, event=EVENT),
    events.SessionClosed(session=SESSION, reason="replaced", epoch=3),
    JOB,
    events.PipelineAttached(session=SESSION, epoch=4, pipeline_worker="p2", uplink_from=64_000),
    events.PipelineLeaving(session=SESSION, epoch=4),
    events.AgentSpeechEnded(session=SESSION, epoch=4, end_sample=48_000),
    events.FlushPlayout(session=SESSION, epoch=4),
    events.PausePlayout(session=SESSION, epoch=4),
    events.ResumePlayout(session=SESSION, epoch=4),
    events.PublishEvent(session=SESSION, epoch=4, type="transcript", fields=_TRANSCRIPT, number=18),
    events.TextsMissed(session=SESSION, epoch=4, received=2),
    events.EndSession(session=SESSION, epoch=4, reason="farewell", after_playout=False),
    events.CallerConnected(session=SESSION, played_up_to=24_000, published=17),
    events.MediaAttached(session=SESSION, media_worker="m2", generation=2, published=17),
    events.EventsMissed(session=SESSION, published=17),
    events.PlayoutReported(session=SESSION, played_up_to=24_000, state="playing", at_unix_ms=1_760_000_000_000.5),
    events.TextReceived(session=SESSION, text="What are your opening hours?", number=3),
    events.InterruptRequested(session=SESSION),
    events.TalkChanged(session=SESSION, pressed=True),
    events.MuteChanged(session=SESSION, muted=True),
)
FRAMES = (
    AudioFrame(SESSION, 4, 7, 2_240, 16_000, 1, b"\x01\x00\xff\x7f\x00\x80"),
    SilenceRun(SESSION, 4, 8, 2_243, 16_000, 1_600),
)
REPORT = WorkerReport(
    worker_id="p1", kind="pipeline", state="draining", sessions=3, capacity=20, pool="default,gpu", zone="b"
)
ENTRIES: tuple[Entry, ...] = (
    Utterance("agent", "Hello, how can I help?", interrupted=True),
    Utterance("user", "A table for two"),
    ToolUse(ToolCall("c1", "book_table", '{"guests": 2}'), "booked"),
)
MEMORY = Memory(
    epoch=3,
    uplink=96_000,
    published=17,
    transcripts=(15, 16),
    prompts_said=1,
    answered=True,
    tools=(ToolCall("c2", "transfer", "{}"),),
    waits_for_tools=True,
    agent=AgentTurn(
        interruptible=False,
        playout_began=90_000,
        complete=True,
        said_over=("uh-huh",),
        end_reason="farewell",
        is_farewell=True,
    ),
    turn=TurnMemory(
        sample_rate=24_000,
        language="en",
        is_answer=False,
        before="Your table",
        sentences=(SentenceMemory("is booked.", 12_000, 24_000, (("is", 4_000), ("booked.", 20_000)), True),),
        waiting="Goodbye!",
        complete=True,
        end_call=True,
        interrupted=True,
    ),
)
