from pathlib import Path

import numpy as np

from callers.call_record import HEARD_RATE, CallRecord
from callers.scenario.outcome import Failure, Outcome, timeline


def test_it_passed_unless_something_failed() -> None:
    failure = Failure("step 2 (say)", "reply", "nothing was said")
    assert Outcome(Path("call.yaml"), "A call").passed
    assert not Outcome(Path("call.yaml"), "A call", [failure]).passed
    assert str(failure) == "step 2 (say): expected reply, but nothing was said"


def test_the_timeline_holds_actions_events_and_sounds_in_order() -> None:
    record = CallRecord(100.0)
    record.take(101.0, {"type": "status", "status": "speaking", "seq": 1})
    record.take(102.0, {"type": "transcript-partial", "role": "user", "text": "he"})
    record.note(101.5, 'says "hello"')
    record.take(104.0, {"type": "transcript", "role": "agent", "text": "Yes?", "interrupted": True})
    record.take(105.0, {"type": "error", "code": "engine_failed"})
    record.heard.add(0.0, np.full(HEARD_RATE // 2, 9_000, np.int16), 103.0)
    assert [(round(entry.at_s, 1), entry.text) for entry in timeline(record)] == [
        (1.0, "status   speaking"),
        (1.5, 'caller   says "hello"'),
        (3.0, "agent    is heard for 0.50 s"),
        (4.0, "heard    agent: \"Yes?\" {'interrupted': True}"),
        (5.0, "event    error {'code': 'engine_failed'}"),
    ]
