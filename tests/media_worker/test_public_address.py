"""Asking a STUN server, a real one and ones that misbehave."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from aioice import stun as aioice_stun
from structlog.testing import capture_logs

from media_worker import public_address
from media_worker.public_address import open_port
from media_worker.settings import MediaSettings
from shared.errors import AntiphonError, ConfigError
from tests.browser.turn_server import turn_server

OUTSIDE = ("203.0.113.9", 41_000)
Answer = Callable[[bytes, int], list[bytes]]
"""(request, its number from 0) -> what is sent back."""


def response(request: bytes, mapped: tuple[str, int] = OUTSIDE, transaction_id: bytes = b"") -> bytes:
    message = aioice_stun.Message(
        message_method=aioice_stun.Method.BINDING,
        message_class=aioice_stun.Class.RESPONSE,
        transaction_id=transaction_id or request[8:20],
    )
    message.attributes["SOFTWARE"] = "odd"
    message.attributes["XOR-MAPPED-ADDRESS"] = mapped
    return bytes(message)


def refusal(request: bytes) -> bytes:
    message = aioice_stun.Message(
        message_method=aioice_stun.Method.BINDING,
        message_class=aioice_stun.Class.ERROR,
        transaction_id=request[8:20],
    )
    message.attributes["ERROR-CODE"] = (400, "Bad Request")
    return bytes(message)


@contextmanager
def stun_server(answer: Answer) -> Iterator[tuple[str, list[bytes]]]:
    """Its URL, and the requests that came."""
    requests: list[bytes] = []

    def serve() -> None:
        while True:
            request, client = bound.recvfrom(2_048)
            if request == b"stop":
                return
            for datagram in answer(request, len(requests)):
                bound.sendto(datagram, client)
            requests.append(request)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield f"stun:127.0.0.1:{bound.getsockname()[1]}", requests
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"stop", bound.getsockname())
            serving.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_address, "_WAITS_S", (0.2, 0.4, 0.8))
    monkeypatch.setattr(public_address, "detect_addresses", lambda: ("127.0.0.1",))


async def addresses(**settings: object) -> tuple[tuple[str, int], ...]:
    port = await open_port(MediaSettings.model_validate(settings))
    port.start()
    port.close()
    return tuple((host, 0 if number == port.port else number) for host, number in port.addresses)


async def failure(server: str) -> AntiphonError:
    with pytest.raises(AntiphonError) as caught:
        await addresses(stun_server=server)
    assert caught.value.code == "stun_failed"
    return caught.value


async def test_the_first_that_is_set_counts() -> None:
    with stun_server(lambda request, _: [response(request)]) as (url, requests):
        assert await addresses(public_ips="192.0.2.1, 192.0.2.2", node_ip="192.0.2.3", stun_server=url) == (
            ("192.0.2.1", 0),
            ("192.0.2.2", 0),
        )
        assert await addresses(node_ip="192.0.2.3", stun_server=url) == (("192.0.2.3", 0),)
        assert requests == []
        assert await addresses(stun_server=url) == (OUTSIDE,)
        assert await addresses() == (("127.0.0.1", 0),)


async def test_callers_reach_a_node_behind_a_nat_whose_private_address_the_manifest_sets() -> None:
    with stun_server(lambda request, _: [response(request)]) as (url, _):
        assert await addresses(node_ip="10.0.0.7", stun_server=url) == (OUTSIDE,)
        assert await addresses(node_ip="10.0.0.7") == (("10.0.0.7", 0),)


async def test_a_real_server_tells_the_address_of_the_very_socket() -> None:
    with turn_server() as server:
        assert await addresses(stun_server=f"stun:{server.host}:{server.port}") == (("127.0.0.1", 0),)


async def test_a_nat_that_changes_the_port_is_told_to_callers_and_warned_about() -> None:
    with stun_server(lambda request, _: [response(request)]) as (url, _), capture_logs() as logs:
        assert await addresses(stun_server=url) == (OUTSIDE,)
    assert [entry["event"] for entry in logs] == ["public_address", "nat_changes_port"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda request, number: [response(request)] if number else [],
        lambda request, _: [response(request), response(request, ("198.51.100.1", 1))],
        lambda request, _: [response(request, ("198.51.100.1", 1), bytes(12)), response(request)],
        lambda request, _: [b"", b"\x01\x01", response(request)[:-2], b"\x80" * 40, request, response(request)],
        lambda request, number: [response(request)] if number else [response(request)[:20]],
    ],
    ids=["a lost request", "twice", "of another transaction", "garbage first", "without an address first"],
)
async def test_the_first_valid_answer_counts(answer: Answer) -> None:
    with stun_server(answer) as (url, _):
        assert await addresses(stun_server=url) == (OUTSIDE,)


async def test_somebody_else_cannot_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        clients: list[int] = []

        def forge(request: bytes, number: int) -> list[bytes]:
            forger.sendto(response(request, ("198.51.100.1", 1)), ("127.0.0.1", clients[0]))
            return [response(request)] if number else []

        with stun_server(forge) as (url, _), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            clients.append(probe.getsockname()[1])
            probe.close()
            assert await addresses(stun_server=url, media_port=clients[0]) == (OUTSIDE,)


async def test_a_server_that_does_not_answer_ends_the_start() -> None:
    with stun_server(lambda *_: []) as (url, requests):
        error = await failure(url)
    assert "no answer within 1.4 s" in error.message
    assert "ANTIPHON_PUBLIC_IPS" in error.message
    assert len(requests) == 3
    assert len(set(requests)) == 1, "one transaction"


async def test_a_server_that_refuses_ends_the_start_at_once() -> None:
    with stun_server(lambda request, _: [refusal(request)]) as (url, requests):
        assert "refuses" in (await failure(url)).message
    assert len(requests) == 1


async def test_a_server_whose_name_is_unknown_ends_the_start() -> None:
    assert "its name is not known" in (await failure("stun:no-such-host.invalid")).message


async def test_a_server_of_another_ip_version_ends_the_start() -> None:
    assert "no address of a family that we have" in (await failure("stun:[::1]:3478")).message


async def test_the_port_is_free_after_a_failure() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    with pytest.raises(ConfigError):
        await addresses(stun_server="", public_ips="", node_ip="nowhere", media_port=number)
    with pytest.raises(ConfigError, match="ANTIPHON_STUN_SERVER"):
        await addresses(stun_server="turn:x:1", media_port=number)
    assert await addresses(media_port=number) == (("127.0.0.1", 0),)


@pytest.mark.parametrize("server", ["stuns:a:1", "stun:", "stun:a:0", "stun:a:70000", "stun:a b", "http://a/", "a:b"])
async def test_a_server_that_is_not_one_is_a_config_error(server: str) -> None:
    with pytest.raises(ConfigError, match="ANTIPHON_STUN_SERVER"):
        await addresses(stun_server=server)
