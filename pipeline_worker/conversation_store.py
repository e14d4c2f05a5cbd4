"""Keeps a session's conversation and its agent's turn in Redis, so that another worker can carry the session on.

Of two workers only the one with the higher epoch writes: the turn names the epoch of its owner, and a script compares
them in the same step as it writes. So what a worker that was replaced still has in flight changes nothing.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from pipeline_worker.script_batch import RunsScripts
from pipeline_worker.turns.conversation import Conversation, Entry, ToolCall, ToolUse, Utterance
from pipeline_worker.turns.memory import Memory, Past
from shared import keys
from shared.io.broker import BROKER_FAILURES
from shared.io.logs import get_logger
from shared.validation_errors import first_problem

_RETRY_S = 0.5
_LATER_S = 1.0

# KEYS: turn, conversation. ARGV[1]: our epoch.
_OWNER = """
local turn = redis.call('GETRANGE', KEYS[1], 0, 31)
local owner = tonumber(string.match(turn, '^{"epoch": ?(%d+)') or -1)
if owner > tonumber(ARGV[1]) then return 'replaced' end
"""
# ARGV: epoch, turn, expiry, entries to keep, 'append' or 'replace', new entries.
_SAVE = f"""{_OWNER}
if ARGV[5] == 'replace' then redis.call('DEL', KEYS[2]) elseif owner < 0 then return 'lost' end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
for index = 6, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[index]) end
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[4]), -1)
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 'saved'
"""
# ARGV: epoch, retention; with 0, EXPIRE deletes.
_CLOSE = f"""{_OWNER}
redis.call('DEL', KEYS[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 'closed'
"""
# ARGV: epoch, expiry. Returns the turn and the conversation.
_CLAIM = f"""{_OWNER}
local all = redis.call('GET', KEYS[1]) or ''
local rest = string.match(all, '^{{"epoch": ?%d+(.*)$') or '}}'
redis.call('SET', KEYS[1], '{{"epoch": ' .. ARGV[1] .. rest, 'EX', ARGV[2])
return {{all, redis.call('LRANGE', KEYS[2], 0, -1)}}
"""

_memories = TypeAdapter(Memory)

log = get_logger()


class ConversationStore:
    """A list of JSON objects, oldest first: `{"role", "text", "interrupted"}`, or for the use of a tool
    `{"role": "tool", "id", "name", "arguments", "result"}`. Beside it, `turns.memory.Memory` as JSON.

    Both expire `expiry_s` after the last write, in case no worker takes the session over.
    """

    def __init__(self, scripts: RunsScripts, session: str, expiry_s: int, epoch: int = 1) -> None:
        self._scripts = scripts
        self._keys = (keys.turn(session), keys.conversation(session))
        self._session = session
        self._expiry_s = expiry_s
        self._epoch = epoch
        self.conversation = Conversation()
        self._unsaved = 0
        self._in_doubt = True
        """It is not known what is stored: the next write replaces the list."""
        self._remember: Callable[[], Memory] = lambda: Memory(epoch=epoch)
        self._on_replaced: Callable[[], None] = lambda: None
        self._is_replaced = False
        self._is_away = False
        self._changes = self._saved = 0
        self._wanted = asyncio.Event()
        self._written = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[bool] | None = None

    async def claim(self) -> Past | None:
        """Takes the session over from another worker. None if a later one has done so. Raises `BROKER_FAILURES`."""
        reply = await self._scripts.run(_CLAIM, self._keys, self._epoch, self._expiry_s)
        if reply == b"replaced":
            return None
        turn, conversation = cast(tuple[bytes, list[bytes]], reply)
        self.conversation = Conversation(filter(None, map(self._read_entry, conversation)))
        self._in_doubt = False
        return Past(tuple(self.conversation.entries), self._read_memory(turn))

    def watch(self, remember: Callable[[], Memory], on_replaced: Callable[[], None]) -> None:
        """Each write takes what `remember` returns. `on_replaced` is called if another worker has the session."""
        self._remember, self._on_replaced = remember, on_replaced

    def add(self, entry: Entry) -> None:
        """Returns at once; `run` writes."""
        self.conversation.add(entry)
        self._unsaved += 1
        self.change()

    def change(self, at_once: bool = True) -> None:
        """The memory has changed: write it now, or within a second."""
        self._changes += 1
        if at_once:
            self._wanted.set()
        elif self._later is None and not self._wanted.is_set():
            self._later = asyncio.get_running_loop().call_later(_LATER_S, self._wanted.set)

    async def saved(self, within_s: float) -> bool:
        """Waits until all changes up to now are written, at most `within_s`."""
        changes = self._changes
        self._wanted.set()
        try:
            async with asyncio.timeout(within_s):
                while self._saved < changes:
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Runs until cancelled; then call `close`. Retries while the broker is away, and renews the expiry."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._expiry_s / 3):
                    await self._wanted.wait()
            self._wanted.clear()
            self._writing = asyncio.create_task(self._save())
            # Shielded, because a cancelled write might be applied after the deletion in `close`.
            if not await asyncio.shield(self._writing):
                self._wanted.set()
                await asyncio.sleep(_RETRY_S)

    def abandon(self) -> None:
        """Another worker has the session: write nothing more."""
        self._is_replaced = True
        self._drop_timer()

    async def close(self, retention_s: int) -> None:
        """The session is over: keep what was said for `retention_s`; 0 deletes it. The turn is deleted."""
        self._drop_timer()
        if self._writing is not None:
            await asyncio.wait({self._writing})
        if self._is_replaced:
            return
        try:
            if not retention_s or await self._save():
                await self._scripts.run(_CLOSE, self._keys, self._epoch, retention_s)
        except BROKER_FAILURES as error:
            log.warning("conversation_left_to_expire", session_id=self._session, error=str(error))

    async def _save(self) -> bool:
        """False if it must be retried."""
        if self._is_replaced:
            return True
        self._drop_timer()
        entries = self.conversation.entries
        if not self._in_doubt:
            entries = entries[max(0, len(entries) - self._unsaved) :]
        mode = "replace" if self._in_doubt else "append"
        memory, lines, kept = _memory_as_json(self._remember()), map(_entry_as_json, entries), len(self.conversation)
        self._unsaved, self._in_doubt = 0, True
        changes = self._changes
        try:
            outcome = await self._scripts.run(
                _SAVE, self._keys, self._epoch, memory, self._expiry_s, kept, mode, *lines
            )
        except BROKER_FAILURES as error:
            if not self._is_away:  # one line for each outage: it is tried again twice a second
                log.warning("conversation_not_saved", session_id=self._session, error=str(error))
            self._is_away = True
            return False
        if outcome == b"lost":  # the broker came back empty
            return await self._save()
        self._in_doubt = self._is_away = False
        self._saved = changes
        self._written.set()
        if outcome == b"replaced" and not self._is_replaced:
            self.abandon()
            self._on_replaced()
        return True

    def _drop_timer(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _read_memory(self, turn: bytes) -> Memory:
        try:
            return _memories.validate_json(turn) if turn else Memory(epoch=0)
        except ValidationError as error:
            log.warning("turn_not_readable", session_id=self._session, error=first_problem(error))
            return Memory(epoch=0)

    def _read_entry(self, line: bytes) -> Entry | None:
        try:
            fields = json.loads(line)
            if fields["role"] == "tool":
                return ToolUse(ToolCall(fields["id"], fields["name"], fields["arguments"]), fields["result"])
            if not fields["text"]:
                raise ValueError("an utterance without words")
            return Utterance(fields["role"], fields["text"], fields["interrupted"])
        except (ValueError, KeyError, TypeError) as error:
            log.warning("conversation_entry_not_readable", session_id=self._session, error=str(error))
            return None


def _memory_as_json(memory: Memory) -> bytes:
    try:
        return _memories.dump_json(memory)
    except PydanticSerializationError:
        return _as_json(_memories.dump_python(memory))


def _entry_as_json(entry: Entry) -> bytes:
    if isinstance(entry, ToolUse):
        return _as_json({"role": "tool", **entry.call._asdict(), "result": entry.result})
    return _as_json(entry._asdict())


def _as_json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")  # vendors may cut a character in two
