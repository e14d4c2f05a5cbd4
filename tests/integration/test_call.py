"""Calls through all three services as real processes, by a stock aiortc caller that speaks and listens."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from pipeline_worker.text.words import words_of
from shared.audio import level_dbfs
from shared.io.broker import connect
from tests.integration.caller import RATE, Caller
from tests.integration.deployment import Deployment
from tests.integration.recordings import find_echo
from tests.integration.speech import heard_words, most_like, spoken

pytestmark = pytest.mark.asyncio(loop_scope="module")

_QUIET_DBFS = -50.0
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


def _said(caller: Caller, role: str) -> list[str]:
    return [event["text"] for event in caller.events("transcript") if event["role"] == role]


def _statuses(caller: Caller) -> list[str]:
    return [event["status"] for event in caller.events("status")]


async def _greeted(caller: Caller) -> None:
    """The greeting was heard to its end."""
    await caller.wait_for(lambda: bool(_said(caller, "agent")))
    await caller.wait_for(lambda: _statuses(caller)[-1:] == ["listening"])


async def _interrupted_greeting(caller: Caller) -> None:
    """Gets the floor without hearing the greeting to its end."""
    assert caller.channel is not None
    await caller.wait_for_status("speaking")
    await caller.wait_for(lambda: caller.channel is not None and caller.channel.readyState == "open")
    caller.channel.send(json.dumps({"type": "interrupt"}))
    await caller.wait_for(lambda: _statuses(caller)[-1:] == ["listening"])


def _type(caller: Caller, text: str) -> None:
    assert caller.channel is not None
    caller.channel.send(json.dumps({"type": "text", "text": text}))


async def test_a_spoken_question_is_answered_in_words_and_in_sound(deployment: Deployment) -> None:
    (question,) = await spoken("What are your opening hours?")
    async with Caller(url=deployment.signaling_url, agent_id="front-desk") as caller:
        await _greeted(caller)
        heard_before = len(caller.heard_samples())
        caller.microphone.say(question)
        await caller.wait_for(lambda: len(_said(caller, "agent")) == 2)
        await caller.wait_for(lambda: _statuses(caller)[-1] == "listening")
        await caller.wait_for(lambda: _tail_is_quiet(caller))
        heard = caller.heard_samples()[heard_before:]
        statuses, transcripts = _statuses(caller), caller.events("transcript")
        measured = caller.events("metrics")
    (asked,) = _said(caller, "user")
    # The recogniser knows no script: of a machine that is shared it may mishear a word.
    assert most_like(words_of(asked), [_QUESTION, *_OTHER_QUESTIONS]) == _QUESTION
    assert most_like(heard_words(heard), [_OPENING_HOURS, *_DISTRACTORS]) == _OPENING_HOURS
    assert statuses == ["connecting", "speaking", "listening", "thinking", "speaking", "listening"]
    assert [event["role"] for event in transcripts] == ["agent", "user", "agent"]
    greeting, answer = measured
    assert not {"firstAudioMs", "endpointMs", "llmFirstTokenMs"} & greeting.keys()
    stages = [f"{stage}Ms" for stage in ("endpoint", "sttFinal", "llmFirstToken", "ttsFirstAudio", "firstPacket")]
    assert sum(answer[stage] for stage in stages) == pytest.approx(answer["firstAudioMs"], abs=len(stages))
    assert answer["endpointMs"] >= 192, "no silence shorter than the hangover ends an utterance"
    assert (answer["turn"], answer["interrupted"]) == (2, False)


async def test_both_channels_carry_the_same_events_under_the_same_numbers(deployment: Deployment) -> None:
    async with Caller(url=deployment.signaling_url, agent_id="front-desk") as caller:
        await _greeted(caller)
        numbered = [event for event in caller.socket_events if "seq" in event]
        await caller.wait_for(lambda: len(caller.channel_events) >= len(numbered))
    on_channel = {event["seq"]: event for event in caller.channel_events}
    assert [event["seq"] for event in numbered] == list(range(1, len(numbered) + 1))
    assert {event["seq"]: event for event in numbered}.items() <= on_channel.items()
    transcript = caller.events("transcript")[0]
    assert transcript["data"]["text"] == transcript["text"]
    assert transcript["data"]["role"] == transcript["role"] == "agent"


async def test_the_agent_stops_when_it_is_interrupted(deployment: Deployment) -> None:
    (words,) = await spoken("Excuse me, I would like to book a table for four people please.")
    async with Caller(url=deployment.signaling_url, agent_id="front-desk") as caller:
        await _greeted(caller)
        await caller.wait_for(lambda: _tail_is_quiet(caller))
        answers, loud_before_ms = len(_said(caller, "agent")), _loud_for_ms(caller)
        _type(caller, "What are your opening hours?")
        await caller.wait_for(lambda: _loud_for_ms(caller) > loud_before_ms + 1_500)
        caller.microphone.say(words)
        await caller.wait_for(lambda: caller.microphone.said_at_s is not None)
        said_at_s = caller.microphone.said_at_s
        await caller.wait_for(lambda: len(_said(caller, "agent")) > answers)
        await caller.wait_for(lambda: _tail_is_quiet(caller))
        last_loud_s = max(at for at, _, pcm in caller.heard if level_dbfs(pcm) > _QUIET_DBFS)
        interrupted = [event for event in caller.events("transcript") if event["role"] == "agent"][answers]
    assert said_at_s is not None
    # Endless speech would be seconds; aiortc's own jitter buffer alone adds 80 ms to what is measured here.
    assert last_loud_s - said_at_s < 1.5
    assert interrupted["interrupted"] is True
    assert interrupted["text"].startswith("We are open")
    assert "On Mondays we are closed" not in interrupted["text"]


async def test_a_typed_message_is_answered(deployment: Deployment) -> None:
    async with Caller(url=deployment.signaling_url, agent_id="front-desk") as caller:
        await _interrupted_greeting(caller)
        answers = len(_said(caller, "agent"))
        _type(caller, "What are your opening hours?")
        await caller.wait_for(lambda: len(_said(caller, "agent")) > answers)
    assert _said(caller, "user") == ["What are your opening hours?"]
    assert "On Mondays we are closed" in _said(caller, "agent")[-1]


async def test_a_goodbye_ends_the_call_after_it_was_heard(deployment: Deployment) -> None:
    async with Caller(url=deployment.signaling_url, agent_id="front-desk") as caller:
        await _interrupted_greeting(caller)
        _type(caller, "Thank you, goodbye.")
        await caller.wait_for_status("ended")
    assert caller.events("status")[-1]["reason"] == "agent_hangup"
    assert _said(caller, "agent")[-1]


async def test_the_echo_agent_returns_the_callers_own_voice(deployment: Deployment) -> None:
    (words,) = await spoken("One two three four five six seven.")
    async with Caller(url=deployment.signaling_url, agent_id="echo") as caller:
        await caller.wait_for_status("listening")
        caller.microphone.say(words)
        await caller.wait_for(lambda: _loud_for_ms(caller) > 500)
        async with asyncio.timeout(20):
            await caller.microphone.quiet.wait()
        await caller.wait_for(lambda: _tail_is_quiet(caller))
    assert find_echo(caller.heard_samples(), words, RATE).likeness > 0.85


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
    async with Caller(url=deployment.signaling_url, agent_id="echo") as caller:
        await caller.wait_for(lambda: caller.channel is not None and caller.channel.readyState == "open")
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
    await _one_call(deployment, "front-desk")  # what is loaded once
    before = await _footprint(deployment, client)
    for batch in range(5):
        agents = ["front-desk", "echo", "front-desk", "echo"]
        await asyncio.gather(*(_one_call(deployment, agent, talk=batch == 0) for agent in agents))
    after = await _settled(deployment, client, before)
    await client.aclose()
    assert after == before


async def _one_call(deployment: Deployment, agent_id: str, talk: bool = False) -> None:
    async with Caller(url=deployment.signaling_url, agent_id=agent_id) as caller:
        await caller.wait_for_status("speaking" if agent_id == "front-desk" else "listening")
        if talk:
            caller.microphone.say((8_000 * np.sin(np.arange(RATE) / 20)).astype(np.int16))
            async with asyncio.timeout(10):
                await caller.microphone.quiet.wait()


async def _footprint(deployment: Deployment, client: Any) -> dict[str, Any]:
    return {
        "keys": sorted(await client.keys("*")),
        "files": [service.open_files(deployment.broker_port) for service in deployment.services],
        "tasks": [await asyncio.to_thread(service.metric, "antiphon_tasks") for service in deployment.services],
    }


async def _settled(deployment: Deployment, client: Any, before: dict[str, Any]) -> dict[str, Any]:
    """The footprint once it is what it was, or after the time in which it should be."""
    deadline = asyncio.get_running_loop().time() + _FREED_TIMEOUT_S
    while (after := await _footprint(deployment, client)) != before:
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.3)
    return after


async def _errors(deployment: Deployment, *messages: dict[str, str]) -> list[dict[str, Any]]:
    """What the gateway objects to each of these messages, on one socket."""
    import websockets

    async with websockets.connect(deployment.signaling_url) as socket, asyncio.timeout(10):
        errors = []
        for message in messages:
            await socket.send(json.dumps(message))
            errors.append(json.loads(await socket.recv()))
        return errors


def _levels(caller: Caller) -> list[float]:
    return [level_dbfs(pcm) for _, _, pcm in caller.heard]


def _loud_for_ms(caller: Caller) -> float:
    return 20.0 * sum(level > _QUIET_DBFS for level in _levels(caller))


def _tail_is_quiet(caller: Caller) -> bool:
    """Nothing was heard lately: silence is not sent, so it shows as old frames or quiet ones."""
    loud = [at for at, _, pcm in caller.heard if level_dbfs(pcm) > _QUIET_DBFS]
    return bool(loud) and asyncio.get_running_loop().time() - loud[-1] > 0.6
