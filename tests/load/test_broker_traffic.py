from urllib.parse import urlsplit

from shared.io.broker import connect
from tests.load.broker_traffic import Nodes, Reader, Sender, run_slots


async def test_frames_of_a_slot_are_spread_over_the_inboxes_and_arrive(broker_url: str) -> None:
    nodes = Nodes([urlsplit(broker_url).port or 0])
    readers = [Reader(nodes, f"antiphon:p:pipeline-{index}:in") for index in range(3)]
    sender = Sender(nodes, "media-1", 640, frames_per_s=2_000.0, states_per_s=100.0)
    for reader in readers:
        await reader.connect()
    await sender.connect([reader.key for reader in readers])
    client = connect(broker_url)
    try:
        await run_slots([sender], 0.5)
        assert all(reader.hops_s and 0.0 <= min(reader.hops_s) < 5.0 for reader in readers)
        assert sender.frames > 100
        # Ten frames a slot or more, in three entries at most
        assert sender.entries < sender.frames / 2
        assert await client.keys("antiphon:s:*:turn")
    finally:
        for reader in readers:
            reader.close()
        sender.close()
        await client.flushdb()
        await client.aclose()
