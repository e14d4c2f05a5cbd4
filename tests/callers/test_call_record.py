from callers.call_record import CallRecord


def test_an_event_that_comes_on_both_channels_is_kept_once() -> None:
    record = CallRecord(0.0)
    event = {"type": "transcript", "role": "user", "text": "hello", "seq": 7, "data": {"role": "user"}}
    record.take(1.0, event)
    record.take(1.1, dict(event))
    record.take(1.2, {"type": "error", "code": "bad_json"})
    record.take(1.3, {"type": "error", "code": "bad_json"})
    assert [what.fields for what in record.events("transcript")] == [{"role": "user", "text": "hello"}]
    assert len(record.events("error")) == 2
    assert len(record.events("error", since_s=1.25)) == 1


def test_the_status_is_the_latest_and_the_end_has_a_reason() -> None:
    record = CallRecord(0.0)
    assert (record.status, record.end_reason, record.ended_s) == (None, None, None)
    record.take(1.0, {"type": "status", "status": "listening", "seq": 1})
    record.take(2.0, {"type": "status", "status": "ended", "reason": "agent_hangup", "seq": 2})
    assert (record.status, record.end_reason, record.ended_s) == ("ended", "agent_hangup", 2.0)
