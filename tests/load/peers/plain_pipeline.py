"""The pipeline behind the plain peer. PEER_MODE=talk: speech for PEER_SESSIONS callers; echo: their own voice back."""

import asyncio
import os
from typing import Any

import redis.asyncio
import uvloop

from tests.load.load_speech import speech

_RATE = 24_000
_PIECE_S = 0.1
_PIECE_BYTES = int(_RATE * _PIECE_S) * 2


async def talk(client: Any, sessions: int, share: float, spoken: bytes) -> None:
    loop = asyncio.get_running_loop()
    began, round_number = loop.time(), 0
    pieces = len(spoken) // _PIECE_BYTES
    while True:
        pipeline = client.pipeline(transaction=False)
        for index in range(sessions):
            if (round_number * _PIECE_S + index * 10 / 7) % 10 < share * 10:
                at = (index * 37 + round_number) % pieces * _PIECE_BYTES
                pipeline.xadd(
                    f"peer:{index}:down", {b"pcm": spoken[at : at + _PIECE_BYTES]}, maxlen=50, approximate=True
                )
        await pipeline.execute()
        round_number += 1
        await asyncio.sleep(max(0.0, began + round_number * _PIECE_S - loop.time()))


async def echo(client: Any, sessions: int) -> None:
    last: dict[str, bytes] = {f"peer:{index}:up": b"0-0" for index in range(sessions)}
    while True:
        pipeline = client.pipeline(transaction=False)
        for key, entries in await client.xread(dict(last), count=50, block=1_000) or ():
            name = key.decode()
            for entry_id, fields in entries:
                last[name] = entry_id
                pipeline.xadd(name.replace(":up", ":down"), fields, maxlen=50, approximate=True)
        await pipeline.execute()


async def _serve(spoken: bytes) -> None:
    client = redis.asyncio.Redis.from_url(os.environ["ANTIPHON_REDIS_URL"])
    sessions = int(os.environ["PEER_SESSIONS"])
    print("ready", flush=True)
    if os.environ["PEER_MODE"] == "echo":
        await echo(client, sessions)
    else:
        await talk(client, sessions, float(os.environ.get("TALK_SHARE", "1.0")), spoken)


if __name__ == "__main__":
    uvloop.run(_serve(speech(_RATE).tobytes() if os.environ["PEER_MODE"] == "talk" else b""))
