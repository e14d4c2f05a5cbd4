import numpy as np

from deploy.evaluation.call_record import HEARD_RATE, CallRecord
from deploy.evaluation.timeline import timeline


def test_what_was_done_said_and_heard_stands_in_order() -> None:
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
