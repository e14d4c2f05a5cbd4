"""Versions N and N-1 talk to each other while one replaces the other: today's code reads what releases wrote."""

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgpack
import pytest

from gateway.session_directory import SessionDirectory
from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.script_batch import ScriptBatch
from pipeline_worker.turns.conversation import Entry
from pipeline_worker.turns.memory import Memory
from shared import keys
from shared.events import SessionClosed
from shared.io.broker import Redis
from shared.io.heartbeat import live_workers, wall_ms
from shared.wire import VERSION, Batch, decode_batch, decode_message
from tests.shared.released import examples
from tests.shared.released.record import FOLDER, NUMBER, PREVIOUS, SENDER, meaning
from tests.shared.test_events import MESSAGES

RELEASES = sorted(path.name for path in FOLDER.iterdir() if path.name[0].isdigit())
BATCHES = sorted(FOLDER.glob("*/batch-*.json"))


def read(file: Path) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return recording


def payload_of(file: Path) -> bytes:
    return base64.b64decode(read(file)["payload"])


def assert_means(found: Any, meant: Any) -> None:
    """Equal, but for fields that are new since."""
    if isinstance(meant, dict) and isinstance(found, dict):
        for name, value in meant.items():
            assert_means(found[name], value)
    elif isinstance(meant, list) and isinstance(found, list):
        assert len(found) == len(meant)
        for one, other in zip(found, meant, strict=True):
            assert_means(one, other)
    else:
        assert found == meant


def name_of(file: Path) -> str:
    return f"{file.parent.name}-{file.stem}"


@pytest.mark.parametrize("file", BATCHES, ids=name_of)
def test_a_batch_of_a_release_is_read(file: Path) -> None:
    batch = decode_batch(payload_of(file))
    assert (batch.sender, batch.number, batch.previous, batch.malformed) == (SENDER, NUMBER, PREVIOUS, 0)
    (item,) = batch.items
    assert_means(meaning(item), read(file)["meaning"])


@pytest.mark.parametrize("release", RELEASES)
def test_a_job_of_a_release_is_read(release: str) -> None:
    file = FOLDER / release / "job.json"
    assert_means(meaning(decode_message(payload_of(file))), read(file)["meaning"])


@pytest.fixture(params=RELEASES)
def keys_of_release(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(FOLDER / request.param / "keys.json")


async def test_a_session_of_a_release_is_taken_over(broker: Redis, keys_of_release: dict[str, Any]) -> None:
    await restore(broker, keys_of_release["written"])
    meant = keys_of_release["meaning"]
    assert meant["memory"]["epoch"] == 3

    known = await SessionDirectory(broker).find(examples.SESSION)
    assert known is not None
    record, opening = known.record, meant["opening"]
    assert (record.agent, record.pool) == (opening["agent_id"], opening["pool"])
    assert (record.created_ms, record.max_duration_s) == (opening["created_ms"], opening["max_duration_s"])
    assert (record.gateway, list(record.resume_tokens)) == (opening["gateway"], opening["resume_tokens"])
    assert (record.media_worker, record.generation, record.pipeline_worker, record.epoch) == ("m1", 2, "p1", 3)
    assert [(event.number, event.event) for event in known.events] == [(17, meant["event"])]

    past = await ConversationStore(ScriptBatch(broker), examples.SESSION, expiry_s=60, epoch=4).claim()
    assert past is not None
    assert_means(as_json(past.entries), meant["entries"])
    assert_means(as_json(past.memory), meant["memory"])

    (report,) = await live_workers(broker, "pipeline")
    assert_means(report.model_dump(mode="json"), meant["report"])


def test_the_recorder_records_every_kind_with_every_field() -> None:
    """So that the next release does not record less than it writes."""
    assert {type(message) for message in examples.MESSAGES} == set(MESSAGES)
    for message in (*examples.MESSAGES, examples.RESUME):
        unset = set(type(message).model_fields) - message.model_fields_set - {"kind"}
        assert unset == set(), message
    default = Memory(epoch=0)
    assert [name for name in Memory.__slots__ if getattr(examples.MEMORY, name) == getattr(default, name)] == []


# -- a newer version --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", BATCHES, ids=name_of)
def test_kinds_and_fields_of_a_newer_version_cost_nothing_else(file: Path) -> None:
    sender, number, previous, item = msgpack.unpackb(payload_of(file)[1:])
    (read_today,) = decode_batch(payload_of(file)).items
    if isinstance(item[1], dict):
        item[1]["field_of_tomorrow"] = {"nested": [1, 2]}
    last = SessionClosed(session="last")
    newer = [
        [2, {"kind": "kind-of-tomorrow", "session": "s", "urgent": True}],
        item,
        [3, "item of tomorrow", 7],
        [2, {**last.model_dump(), "reason": "reason_of_tomorrow"}],
    ]
    batch = decode_batch(bytes([VERSION]) + msgpack.packb([sender, number, previous, *newer]))
    expected = [read_today, last.model_copy(update={"reason": "reason_of_tomorrow"})]
    assert batch == Batch(SENDER, NUMBER, PREVIOUS, expected, malformed=2)


async def test_what_a_newer_version_stored_is_read_without_its_new_fields(broker: Redis) -> None:
    written = read(FOLDER / RELEASES[-1] / "keys.json")["written"]
    for name, value in written.items():
        if isinstance(value, dict):
            value["field_of_tomorrow"] = "x"
        elif name == keys.turn(examples.SESSION):
            written[name] = value[:-1] + ', "field_of_tomorrow": {"nested": 1}}'
        elif name == keys.events(examples.SESSION):
            value[0][1]["field_of_tomorrow"] = "x"
        else:
            value[:] = [line[:-1] + ', "field_of_tomorrow": 1}' for line in value]
    await restore(broker, written)

    known = await SessionDirectory(broker).find(examples.SESSION)
    assert known is not None and len(known.events) == 1
    assert known.record.media_worker == "m1"
    past = await ConversationStore(ScriptBatch(broker), examples.SESSION, expiry_s=60, epoch=4).claim()
    assert past is not None
    assert (past.entries, past.memory) == (examples.ENTRIES, examples.MEMORY)
    assert [report.worker_id for report in await live_workers(broker, "pipeline")] == ["p1"]


async def restore(broker: Redis, written: dict[str, Any]) -> None:
    untyped: Any = broker
    for key, value in written.items():
        if isinstance(value, dict):
            await untyped.hset(key, mapping=value)
        elif isinstance(value, str):
            await untyped.set(key, value)
        elif key == keys.events(examples.SESSION):
            for entry_id, fields in value:
                await untyped.xadd(key, fields, id=entry_id)
        else:
            await untyped.rpush(key, *value)
    await untyped.zadd(keys.workers("pipeline"), {examples.REPORT.worker_id: wall_ms() + 60_000})


def as_json(value: Memory | tuple[Entry, ...]) -> Any:
    return json.loads(json.dumps(asdict(value) if isinstance(value, Memory) else value))
