"""What a broker sees of thousands of sessions: the commands of their workers' outboxes and inboxes, without workers.

A media worker writes, once in a slot, one entry to each pipeline worker for which it has frames, in one pipeline of
commands. It reads its own inbox by XREAD, every 2 ms at most, and trims it once a second. Pipeline workers do the same.
What the entries hold is encoded once, because encoding it in Python costs more than the broker's work. Like an outbox,
a sender waits for the replies to one slot before it sends the next, and puts what has come meanwhile into larger ones.
"""

import asyncio
import itertools
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
from redis.crc import key_slot

from shared import keys
from shared.frames import AudioFrame
from shared.io.outbox import SLOT_MS
from shared.wire import encode_batch

_TICK_S = 0.001
"""Timers are no finer."""
_SLOT_TICKS = round(SLOT_MS)
_READ_EVERY_S = 0.002
_MOST_FRAMES = 40
"""In an entry. The rest is dropped, as old audio is."""
_SAMPLED = 8
"""Every so many entries, the hop of one is noted."""
_STATE = b"x" * 300
_stamp = struct.Struct("<d")

OnReply = Callable[[Any], None]


class Connection(asyncio.Protocol):
    """To one node."""

    def __init__(self, on_reply: OnReply) -> None:
        self._on_reply = on_reply
        self._reader = hiredis.Reader()
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's has no common base class with it

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if isinstance(reply, Exception):
                raise reply
            self._on_reply(reply)


class Nodes:
    """One server, or the masters of a cluster, with the slots split evenly among them."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports

    def __len__(self) -> int:
        return len(self._ports)

    def of(self, key: str) -> int:
        return 0 if len(self) == 1 else key_slot(key.encode()) * len(self) // 16_384

    async def connect(self, node: int, on_reply: OnReply) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(on_reply), "127.0.0.1", self._ports[node])
        return connection


class Sender:
    """What one worker writes: `frames_per_s` of `frame_bytes`, to inboxes in turn, and `states_per_s` small keys."""

    def __init__(self, nodes: Nodes, name: str, frame_bytes: int, frames_per_s: float, states_per_s: float) -> None:
        self.due = 0
        """The tick of the next slot."""
        self._nodes = nodes
        self._name = name
        self._frames_per_s, self._states_per_s = frames_per_s, states_per_s
        self._frame = AudioFrame(f"session-{name:>24}", 1, 10_000, 3_200_000, 16_000, 1, bytes(frame_bytes))
        self._inboxes: list[tuple[int, str]] = []
        self._connections: list[Connection] = []
        self._heads: dict[tuple[int, int], bytes] = {}
        self._tails: dict[int, bytes] = {}
        self._awaited = 0
        self._frames = self._states = 0.0
        self._last_s = self._renewed_s = 0.0
        self._turn = 0
        self.entries = self.frames = 0

    async def connect(self, inboxes: Sequence[str]) -> None:
        self._inboxes = [(self._nodes.of(key), key) for key in inboxes]
        self._connections = [await self._nodes.connect(node, self._on_reply) for node in range(len(self._nodes))]

    def begin(self, now_s: float) -> None:
        self._last_s = now_s
        self.entries = self.frames = 0

    def slot(self, now_s: float) -> None:
        elapsed_s, self._last_s = now_s - self._last_s, now_s
        self._frames += elapsed_s * self._frames_per_s
        self._states += elapsed_s * self._states_per_s
        if self._awaited:
            return
        parts: list[list[bytes]] = [[] for _ in self._connections]
        self._write_frames(parts, _stamp.pack(now_s))
        self._write_states(parts)
        if now_s - self._renewed_s >= 1.0:
            self._renewed_s = now_s
            for node, key in self._inboxes:
                parts[node].append(_command("EXPIRE", key, 60))
                self._awaited += 1
        for connection, commands in zip(self._connections, parts, strict=True):
            if commands:
                connection.transport.writelines(commands)

    def _write_frames(self, parts: list[list[bytes]], stamp: bytes) -> None:
        frames = int(self._frames)
        self._frames -= frames
        inboxes = len(self._inboxes)
        each, more = divmod(frames, inboxes)
        for index, (node, key) in enumerate(self._inboxes):
            count = each + ((index - self._turn) % inboxes < more)
            if not count:
                continue
            count = min(count, _MOST_FRAMES)
            parts[node] += (self._head(index, key, count), stamp, self._tails[count])
            self._awaited += 1
            self.entries += 1
            self.frames += count
        self._turn = (self._turn + more) % inboxes

    def _write_states(self, parts: list[list[bytes]]) -> None:
        for _ in range(int(self._states)):
            key = keys.turn(f"{self._name}-{self._turn % 200}")
            parts[self._nodes.of(key)].append(_command("SET", key, _STATE, "EX", 90))
            self._awaited += 1
        self._states %= 1

    def _head(self, index: int, key: str, count: int) -> bytes:
        """The command up to its payload, which begins with the time; the rest of the payload is `_tails[count]`."""
        if (index, count) not in self._heads:
            payload = encode_batch(self._name, 1_000_000, 999_975, [self._frame] * count)
            command = _command("XADD", key, "MAXLEN", "~", 2000, "*", "b", payload)
            begin = command.rindex(payload)
            self._heads[index, count] = command[:begin]
            self._tails[count] = command[begin + _stamp.size :]
        return self._heads[index, count]

    def _on_reply(self, reply: Any) -> None:
        self._awaited -= 1

    def close(self) -> None:
        for connection in self._connections:
            connection.transport.abort()


class Reader:
    """One worker's inbox. `hops_s` are the times from the slot of an entry to its arrival."""

    def __init__(self, nodes: Nodes, key: str) -> None:
        self._nodes = nodes
        self.key = key
        self._last_id = b"0-0"
        self._tended_s = 0.0
        self._ignored = 0
        self._connection: Connection
        self.hops_s: list[float] = []

    async def connect(self) -> None:
        self._connection = await self._nodes.connect(self._nodes.of(self.key), self._on_reply)
        self._read()

    def begin(self) -> None:
        self.hops_s.clear()

    def close(self) -> None:
        self._connection.transport.abort()

    def _on_reply(self, reply: Any) -> None:
        if self._ignored:
            self._ignored -= 1
            return
        now_s = time.monotonic()
        if reply:
            entries = reply[0][1]
            self._last_id = entries[-1][0]
            for _, (_, payload) in itertools.islice(entries, 0, None, _SAMPLED):
                if payload:
                    self.hops_s.append(now_s - _stamp.unpack_from(payload)[0])
        if now_s - self._tended_s >= 1.0:
            self._tended_s = now_s
            self._ignored = 2
            trim = _command("XTRIM", self.key, "MINID", self._last_id)
            self._connection.transport.write(trim + _command("XADD", self.key, "NOMKSTREAM", "*", "b", b""))
        asyncio.get_running_loop().call_later(_READ_EVERY_S, self._read)

    def _read(self) -> None:
        if self._connection.transport.is_closing():
            return
        read = _command("XREAD", "COUNT", 200, "BLOCK", 400, "STREAMS", self.key, self._last_id)
        self._connection.transport.write(read)


async def run_slots(senders: Sequence[Sender], duration_s: float) -> float:
    """Senders have their slots at different milliseconds. Returns how late they were at worst."""
    began_s, tick, worst_s = time.monotonic(), 0, 0.0
    for index, sender in enumerate(senders):
        sender.begin(began_s)
        sender.due = index % _SLOT_TICKS
    while (elapsed_s := time.monotonic() - began_s) < duration_s:
        late_s = elapsed_s - tick * _TICK_S
        worst_s = max(worst_s, late_s)
        await asyncio.sleep(max(0.0, -late_s))
        now_s = time.monotonic()
        for sender in senders:
            if sender.due <= tick:
                sender.slot(now_s)
                # Slots that were missed are over; their frames come with this one.
                sender.due += -(-(tick + 1 - sender.due) // _SLOT_TICKS) * _SLOT_TICKS
        tick = max(tick + 1, int((now_s - began_s) / _TICK_S))
    return worst_s


def _command(*words: str | int | bytes) -> bytes:
    """In the protocol of Redis (RESP2)."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
