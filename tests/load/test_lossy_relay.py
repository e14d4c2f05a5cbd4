import asyncio
import socket

from callers.impairment import Impairment
from tests.load.lossy_relay import LossyRelay

RTP, RTCP, STUN = b"\x80\x6f" + bytes(18), b"\x80\xc8" + bytes(26), b"\x00\x01" + bytes(18)


async def test_only_media_is_harmed_and_only_on_request() -> None:
    relay = LossyRelay(Impairment(loss=1.0))
    relay.start()
    server, caller = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for each in (server, caller):
        each.bind(("127.0.0.1", 0))
        each.setblocking(False)
    answer = relay.rewrite(
        f"v=0\r\na=candidate:1 1 udp 1 127.0.0.1 {server.getsockname()[1]} typ host\r\na=end-of-candidates\r\n"
    )
    near = ("127.0.0.1", int(answer.split(" 127.0.0.1 ")[1].split()[0]))
    loop = asyncio.get_running_loop()
    caller.sendto(RTP, near)
    assert await asyncio.wait_for(loop.sock_recv(server, 2_048), 5) == RTP
    relay.spoil(True)
    for datagram in (RTP, STUN, RTP, RTCP):
        caller.sendto(datagram, near)
    assert [await asyncio.wait_for(loop.sock_recv(server, 2_048), 5) for _ in range(2)] == [STUN, RTCP]
    assert (relay.uplink.packets, relay.uplink.lost) == (2, 2)
    for each in (server, caller):
        each.close()
    relay.close()
