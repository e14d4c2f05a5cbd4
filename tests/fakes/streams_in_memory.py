"""As much of a broker as an outbox needs, without a network: for tests in virtual time."""

from typing import Literal

from shared.io.inbox import PAYLOAD
from shared.wire import Batch, decode_batch


class StreamsInMemory:
    """Stands in for a client. `batches` is what was written, in order and with copies."""

    def __init__(self) -> None:
        self.mood: Literal["works", "loses replies", "is away"] = "works"
        self.batches: list[Batch] = []

    def pipeline(self, transaction: bool) -> "_Pipeline":
        assert not transaction
        return _Pipeline(self)


class _Pipeline:
    def __init__(self, streams: StreamsInMemory) -> None:
        self._streams = streams
        self._written: list[Batch] = []

    def xadd(self, _: str, fields: dict[bytes, bytes], maxlen: int, approximate: bool) -> None:
        self._written.append(decode_batch(fields[PAYLOAD]))

    def expire(self, key: str, expiry_s: int) -> None:
        """Nothing expires here."""

    async def execute(self, raise_on_error: bool) -> list[bytes]:
        if self._streams.mood != "is away":
            self._streams.batches += self._written
        if self._streams.mood != "works":
            raise ConnectionError(self._streams.mood)
        return [b"1-0" for _ in self._written]
