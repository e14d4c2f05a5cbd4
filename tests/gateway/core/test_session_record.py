from gateway.core.session_record import SessionRecord, StoredEvent, resume_of
from shared.events import Resume, client_event


def test_a_record_as_redis_has_it() -> None:
    fields = {
        "agent": "echo",
        "media_worker": "m1",
        "generation": "2",
        "epoch": "3",
        "created_ms": "5",
        "state": "open",
    }
    record = SessionRecord.model_validate({**fields, "session": "s1", "resume_tokens": "aa,bb"})
    assert (record.generation, record.epoch, record.created_ms) == (2, 3, 5)
    assert record.resume_tokens == ("aa", "bb")
    assert SessionRecord.model_validate({**fields, "session": "s1", "resume_tokens": ""}).resume_tokens == ()


def test_a_session_goes_on_behind_what_the_client_may_have_seen() -> None:
    record = SessionRecord(session="s1", agent="echo", media_worker="m1", generation=2, pipeline_worker="p1", epoch=3)
    events = [StoredEvent(number, client_event("status", seq, {})) for number, seq in ((4, 7), (0, 8))]
    where = Resume(generation=3, epoch=3, pipeline_worker="p1", media_worker="m1")
    assert resume_of(record, events, 5) == where.model_copy(update={"seq": 8, "published": 4})
    assert resume_of(record, events, 11).seq == 11, "the client has seen events that are not stored"
    assert resume_of(record, [], 0) == where


def test_an_event_without_a_number_comes_first() -> None:
    assert StoredEvent(0, {"type": "status"}).seq == 0
    assert StoredEvent(0, {"type": "status", "seq": "7"}).seq == 0
