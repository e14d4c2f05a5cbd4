import asyncio
import io

import pytest

from pipeline_worker.engines.helper.frames import Frame, pack, read, receive
from shared.errors import EngineError

FRAMES = [Frame({"op": "a", "words": [1, "ü"]}, b""), Frame({}, bytes(range(256)) * 300)]
ENCODED = b"".join(pack(frame.header, frame.body) for frame in FRAMES)


def reader_of(encoded: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(encoded)
    reader.feed_eof()
    return reader


async def test_frames_come_out_as_they_went_in_and_then_the_end() -> None:
    reader, pipe = reader_of(ENCODED), io.BytesIO(ENCODED)
    for expected in [*FRAMES, None]:
        assert await receive(reader) == expected
        assert read(pipe) == expected


@pytest.mark.parametrize("kept", [3, 8, 11, len(ENCODED) - 1])
async def test_an_end_inside_a_frame_is_an_error(kept: int) -> None:
    reader, pipe = reader_of(ENCODED[:kept]), io.BytesIO(ENCODED[:kept])
    with pytest.raises(EngineError):
        while await receive(reader):
            pass
    with pytest.raises(EngineError):
        while read(pipe):
            pass


@pytest.mark.parametrize(
    "encoded", [b"\xff" * 8, b"\0\0\0\2\0\0\0\0[]", b"\0\0\0\2\0\0\0\0{x"], ids=["lengths", "list", "not JSON"]
)
async def test_bytes_that_are_not_a_frame_are_an_error(encoded: bytes) -> None:
    with pytest.raises(EngineError):
        await receive(reader_of(encoded))
    with pytest.raises(EngineError):
        read(io.BytesIO(encoded))
