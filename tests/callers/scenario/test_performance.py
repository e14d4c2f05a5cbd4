"""What a performance makes of steps, with a caller who is not connected to anything."""

import asyncio
from pathlib import Path
from typing import Any, cast

import numpy as np

from callers.call_record import CallRecord
from callers.caller import Caller
from callers.microphone import Microphone, Sound
from callers.scenario.outcome import Outcome
from callers.scenario.performance import Fixtures, Performance
from callers.scenario.scenario import Scenario
from shared.audio import Pcm

SOUND: Pcm = np.full(4_800, 9_000, np.int16)


class QuickMicrophone(Microphone):
    """Every sound is over at once."""

    def __init__(self, late_s: float) -> None:
        super().__init__()
        self._late_s = late_s
        self.played: list[Pcm] = []

    def play(self, samples: Pcm) -> Sound:
        self.played.append(samples)
        sound = Sound(samples)
        while not sound.over.is_set():
            sound.take(asyncio.get_running_loop().time(), self._late_s)
        return sound


class ToldCaller:
    """Answers what is typed with a transcript, at once."""

    def __init__(self, late_s: float) -> None:
        self.record = CallRecord(asyncio.get_running_loop().time())
        self.microphone = QuickMicrophone(late_s)
        self.sent: list[dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        self.sent.append(message)
        if message["type"] == "text":
            self._tell(type="transcript", role="agent", text=f"You typed {message['text']}.")
            self._tell(type="status", status="listening")

    async def hang_up(self) -> None:
        self._tell(type="status", status="ended", reason="hangup")

    def _tell(self, **event: Any) -> None:
        self.record.take(asyncio.get_running_loop().time(), event)


async def performed(*steps: Any, late_s: float = 0.0, **fields: Any) -> tuple[Outcome, ToldCaller]:
    scenario = Scenario.model_validate({"name": "A call", "agent": "desk", "patience": "40ms", "steps": steps} | fields)
    outcome, caller = Outcome(Path("call.yaml"), "A call"), ToldCaller(late_s)
    await Performance(
        scenario, cast(Caller, caller), Fixtures(dict.fromkeys(range(len(steps)), SOUND), {}), outcome
    ).run()
    return outcome, caller


async def test_steps_are_done_in_order() -> None:
    outcome, caller = await performed(
        {"type": "hello", "expect": ["reply"]},
        {"say": "hello"},
        {"mute": True},
        "press",
        "release",
        "interrupt",
        {"pause": "1ms"},
        "hang_up",
    )
    assert outcome.passed, outcome.failures
    assert [message["type"] for message in caller.sent] == ["text", "mute", "talk", "talk", "interrupt"]
    assert len(caller.microphone.played) == 1
    assert caller.microphone.muted
    assert caller.record.end_reason == "hangup"


async def test_expectations_count_from_their_step_and_at_the_end_from_the_beginning() -> None:
    expected = {"transcript": {"role": "agent", "contains": "you typed one"}}
    outcome, _ = await performed({"type": "one"}, {"type": "two", "expect": [expected]}, expect=[expected])
    assert [str(failure) for failure in outcome.failures] == [
        "step 2 (type): expected transcript {'role': 'agent', 'contains': 'you typed one'}, "
        'but "You typed two.", after 0.04 s'
    ]


async def test_after_an_unmet_expectation_the_call_goes_on() -> None:
    caller_ends = {"hang_up": True, "expect": [{"ended": "agent_hangup"}]}
    outcome, caller = await performed(caller_ends, {"type": "more"})
    assert [failure.found for failure in outcome.failures] == ["it ended: hangup"]
    assert len(caller.sent) == 1


async def test_after_a_timeout_the_remaining_steps_are_skipped() -> None:
    outcome, caller = await performed({"wait_for": "reply"}, {"type": "hello"}, expect=[{"ended": "hangup"}])
    assert [failure.where for failure in outcome.failures] == ["step 1 (wait_for)"]
    assert caller.sent == []


async def test_an_agent_that_is_not_heard_cannot_be_interrupted() -> None:
    outcome, caller = await performed({"barge_in": {"after": "1s", "say": "Stop."}})
    assert [str(failure) for failure in outcome.failures] == [
        "step 1 (barge_in): expected audible_for 1 s, but 0.00 s were heard, and the agent is silent, after 0.04 s"
    ]
    assert caller.microphone.played == []


async def test_times_are_kept_as_figures_and_what_must_not_happen_is_checked_last() -> None:
    step = {
        "say": "hello",
        "expect": [{"no_transcript": {"role": "agent"}}, {"agent_silent_within": "1s", "within": "2s"}],
    }
    outcome, _ = await performed(step)
    assert outcome.passed, outcome.failures
    ((where, what, seconds, most_s),) = outcome.figures
    assert (where, what, seconds, most_s) == ("step 1 (say)", "agent_silent_within", 0.0, 1.0)


async def test_noise_in_the_background_is_not_waited_for() -> None:
    noise = {"noise": {"kind": "white", "duration": "600s"}, "background": True}
    outcome, caller = await performed(noise)
    assert outcome.passed
    assert len(caller.microphone.played) == 1


async def test_a_caller_whose_own_machine_was_busy_was_misheard_and_nobody_knew_why() -> None:
    _, on_time = await performed({"say": "hello"}, late_s=0.05)
    _, late = await performed({"say": "hello"}, late_s=0.58)
    actions = [[entry.fields["action"] for entry in caller.record.entries] for caller in (on_time, late)]
    assert actions[0] == ['says "hello"']
    assert actions[1] == ['says "hello"', "was up to 0.58 s late with that: this machine is busy"]
