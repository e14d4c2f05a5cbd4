"""Calls through all three services as real processes, by a caller on aiortc that speaks and listens."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from callers.call_record import HEARD_RATE
from callers.voice import RATE
from pipeline_worker.engines.resampling import resampled
from pipeline_worker.text.words import words_of
from shared.io.broker import connect
from tests.integration.conforming_caller import ConformingCaller as Caller
from tests.integration.deployment import Deployment
from tests.integration.echo import find_echo
from tests.integration.speech import heard_words, most_like, spoken

pytestmark = pytest.mark.asyncio(loop_scope="module")

_OPENING_HOURS = "we are open from five until eleven on saturdays and sundays from noon on mondays we are closed"
_QUESTION = "what are your opening hours"
_OTHER_QUESTIONS = [
    "how do i find you",
    "what is on the menu",
    "i would like to book a table",
    "can you say that again",
]
_DISTRACTORS = [
    "for how many people",
    "our tables are free from five until half past nine on saturdays and sundays from noon what time would you like",
    "sorry i did not get that could you say it again",
    "you find us at twelve harbour street next to the old theatre tram four stops right in front of the door",
    "thank you for calling goodbye",
]
_FREED_TIMEOUT_S = 20.0


async def _greeted(caller: Caller) -> None:
    """Wait until the greeting was heard to its end."""
    await caller.wait_for(lambda: bool(caller.record.said("agent")))
    await caller.wait_for(lambda: caller.record.status == "listening")


async def _interrupted_greeting(caller: Caller) -> None:
    """Stop the greeting."""
    await caller.wait_for_status("speaking")
    caller.send(type="interrupt")
    await caller.wait_for(lambda: caller.record.status == "listening")


async def test_a_spoken_question_is_answered_in_words_and_in_sound(deployment: Deployment) -> None:
    (question,) = await spoken("What are your opening hours?")
    async with Caller(deployment.signaling_url, "front-desk") as caller:
        await _greeted(caller)
        asked = caller.microphone.play(question)
        await caller.wait_for(lambda: len(caller.record.said("agent")) == 2)
        await caller.wait_for(lambda: caller.record.status == "listening")
        await caller.wait_for(lambda: _tail_is_quiet(caller))
        heard = caller.record.heard.samples(asked.end_s)
        statuses, transcripts = caller.record.statuses, caller.record.events("transcript")
        measured = [event.fields for event in caller.record.events("metrics")]
    (understood,) = caller.record.said("user")
    # The recogniser may mishear a word, above all on a busy machine.
    assert most_like(words_of(understood), [_QUESTION, *_OTHER_QUESTIONS]) == _QUESTION
    assert most_like(heard_words(heard), [_OPENING_HOURS, *_DISTRACTORS]) == _OPENING_HOURS
    assert statuses == ["connecting", "speaking", "listening", "thinking", "speaking", "listening"]
    assert [event.fields["role"] for event in transcripts] == ["agent", "user", "agent"]
    greeting, answer = measured
    assert not {"firstAudioMs", "endpointMs", "llmFirstTokenMs"} & greeting.keys()
    stages = [f"{stage}Ms" for stage in ("endpoint", "sttFinal", "llmFirstToken", "ttsFirstAudio", "firstPacket")]
    assert sum(answer[stage] for stage in stages) == pytest.approx(answer["firstAudioMs"], abs=len(stages))
    assert answer["endpointMs"] >= 192, "no silence shorter than the hangover ends an utterance"
    assert (answer["turn"], answer["interrupted"]) == (2, False)


async def test_both_channels_carry_the_same_events_under_the_same_numbers(deployment: Deployment) -> None:
    async with Caller(deployment.signaling_url, "front-desk") as caller:
        await _greeted(caller)
        await caller.wait_for(lambda: any(event["type"] == "transcript" for event in caller.socket_events))
        numbered = [event for event in caller.socket_events if "seq" in event]
        await caller.wait_for(lambda: len(caller.channel_events) >= len(numbered))
    on_channel = {event["seq"]: event for event in caller.channel_events}
    seqs = [event["seq"] for event in numbered]
    assert seqs == sorted(set(seqs))
    assert {event["seq"]: event for event in numbered}.items() <= on_channel.items()
    transcript = next(event for event in numbered if event["type"] == "transcript")
    assert transcript["data"]["text"] == transcript["text"]
    assert transcript["data"]["role"] == transcript["role"] == "agent"


async def test_the_agent_stops_when_it_is_interrupted(deployment: Deployment) -> None:
    (words,) = await spoken("Excuse me, I would like to book a table for four people please.")
    async with Caller(deployment.signaling_url, "front-desk") as caller:
        await _greeted(caller)
        await caller.wait_for(lambda: _tail_is_quiet(caller))
        answers, heard_before_s = len(caller.record.said("agent")), caller.record.heard.sound_s(0)
        caller.send(type="text", text="What are your opening hours?")
        await caller.wait_for(lambda: caller.record.heard.sound_s(0) > heard_before_s + 1.5)
        interruption = caller.microphone.play(words)
        await caller.wait_for(lambda: len(caller.record.said("agent")) > answers)
        await caller.wait_for(lambda: _tail_is_quiet(caller))
        silent_s = caller.record.heard.spans()[-1][1]
        turns = [event.fields for event in caller.record.events("transcript") if event.fields["role"] == "agent"]
        interrupted = turns[answers]
    # Without the interruption, the agent would speak for several seconds.
    assert silent_s - interruption.onset_s < 1.5
    assert interrupted["interrupted"] is True
    assert interrupted["text"].startswith("We are open")
    assert "On Mondays we are closed" not in interrupted["text"]


async def test_a_typed_message_is_answered(deployment: Deployment) -> None:
    async with Caller(deployment.signaling_url, "front-desk") as caller:
        await _interrupted_greeting(caller)
        answers = len(caller.record.said("agent"))
        caller.send(type="text", text="What are your opening hours?")
        await caller.wait_for(lambda: len(caller.record.said("agent")) > answers)
    assert caller.record.said("user") == ["What are your opening hours?"]
    assert "On Mondays we are closed" in caller.record.said("agent")[-1]


async def test_a_goodbye_ends_the_call_after_it_was_heard(deployment: Deployment) -> None:
    async with Caller(deployment.signaling_url, "front-desk") as caller:
        await _interrupted_greeting(caller)
        caller.send(type="text", text="Thank you, goodbye.")
        await caller.wait_for_status("ended")
    assert caller.record.end_reason == "agent_hangup"
    assert caller.record.said("agent")[-1]


async def test_the_echo_agent_returns_the_callers_own_voice(deployment: Deployment) -> None:
    (words,) = await spoken("One two three four five six seven.")
    async with Caller(deployment.signaling_url, "echo") as caller:
        await caller.wait_for_status("listening")
        sound = caller.microphone.play(words)
        await caller.wait_for(sound.over.is_set)
        await caller.wait_for(lambda: caller.record.heard.sound_s(0) > 0.5)
        await caller.wait_for(lambda: _tail_is_quiet(caller))
    said = resampled(words, RATE, HEARD_RATE)
    assert find_echo(caller.record.heard.samples(), said, HEARD_RATE).likeness > 0.85


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("this is not JSON", "bad_json"),
        ('{"type": "text"}', "bad_message"),
        ('{"type": "text", "text": "' + "a" * 20_000 + '"}', "message_too_large"),
    ],
)
async def test_a_bad_control_message_is_an_error_and_changes_nothing(
    deployment: Deployment, sent: str, code: str
) -> None:
    async with Caller(deployment.signaling_url, "echo") as caller:
        assert caller.channel is not None
        caller.channel.send(sent)
        await caller.wait_for(lambda: any(event["type"] == "error" for event in caller.channel_events))
        caller.channel.send('{"type": "ping", "id": 7}')
        await caller.wait_for(lambda: {"type": "pong", "id": 7, "data": {"id": 7}} in caller.channel_events)
    assert [event["code"] for event in caller.channel_events if event["type"] == "error"] == [code]


async def test_an_offer_without_audio_and_an_unknown_agent_are_refused_by_name(deployment: Deployment) -> None:
    errors = await _errors(
        deployment,
        {"type": "offer", "sdp": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "agentId": "front-desk"},
        {"type": "offer", "sdp": "v=0\r\n", "agentId": "nobody"},
    )
    assert [error["code"] for error in errors] == ["no_audio", "unknown_agent"]
    assert "front-desk" in errors[1]["message"]


async def test_twenty_calls_leave_nothing_behind(deployment: Deployment) -> None:
    client = connect(deployment.broker_url)
    await _one_call(deployment, "front-desk")  # the first call loads what is loaded once
    before = await _settled(deployment, client, None)
    for batch in range(5):
        agents = ["front-desk", "echo", "front-desk", "echo"]
        await asyncio.gather(*(_one_call(deployment, agent, talk=batch == 0) for agent in agents))
    after = await _settled(deployment, client, before)
    await client.aclose()
    assert after == before


async def _one_call(deployment: Deployment, agent_id: str, talk: bool = False) -> None:
    async with Caller(deployment.signaling_url, agent_id) as caller:
        await caller.wait_for_status("speaking" if agent_id == "front-desk" else "listening")
        if talk:
            tone = caller.microphone.play((8_000 * np.sin(np.arange(RATE) / 20)).astype(np.int16))
            await caller.wait_for(tone.over.is_set)


async def _footprint(deployment: Deployment, client: Any) -> dict[str, Any]:
    return {
        "keys": sorted(await client.keys("*")),
        "files": [service.open_files(deployment.broker_port) for service in deployment.services],
        "tasks": [await asyncio.to_thread(service.metric, "antiphon_tasks") for service in deployment.services],
    }


async def _settled(deployment: Deployment, client: Any, expected: dict[str, Any] | None) -> dict[str, Any]:
    """The footprint once it is as expected, or the same for a second; else the one after the timeout."""
    deadline = asyncio.get_running_loop().time() + _FREED_TIMEOUT_S
    seen = [await _footprint(deployment, client)]
    while asyncio.get_running_loop().time() < deadline and seen[-1] != expected:
        await asyncio.sleep(0.3)
        seen.append(await _footprint(deployment, client))
        if expected is None and len(seen) > 4 and all(each == seen[-1] for each in seen[-4:]):
            break
    return seen[-1]


async def _errors(deployment: Deployment, *messages: dict[str, str]) -> list[dict[str, Any]]:
    """The gateway's error for each of these messages, on one socket."""
    import websockets

    async with websockets.connect(deployment.signaling_url) as socket, asyncio.timeout(10):
        errors = []
        for message in messages:
            await socket.send(json.dumps(message))
            errors.append(json.loads(await socket.recv()))
        return errors


def _tail_is_quiet(caller: Caller) -> bool:
    """Whether the agent was heard and is silent now."""
    heard = caller.record.heard
    return bool(heard.spans()) and heard.is_silent(asyncio.get_running_loop().time(), 0.6)
