"""How a leader shares callers among its helpers, and what strangers at its port can do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callers.load import fleet as fleet_module
from callers.load.fleet import Fleet, share
from callers.load.link import Link, LinkError, open_link
from callers.load.messages import Hello, Measured, Prepare, Tick
from callers.load.tally import Tally
from shared.errors import ConfigError

_KEY = b"a key"


@given(st.integers(0, 1000), st.integers(1, 40))
def test_helpers_share_the_callers_evenly(callers: int, processes: int) -> None:
    shares = [share(callers, index, processes) for index in range(processes)]
    assert sum(shares) == callers
    assert max(shares) - min(shares) <= 1
    assert all(share(callers + 1, index, processes) >= before for index, before in enumerate(shares))


@asynccontextmanager
async def listening(said: list[str]) -> AsyncIterator[tuple[Fleet, int]]:
    fleet = Fleet(_KEY, Prepare(url="http://host", agent="echo"), 1, said.append)
    async with fleet.listening("127.0.0.1", 0) as port:
        yield fleet, port


async def joined(port: int, fleet: Fleet) -> Link:
    link = await open_link("127.0.0.1", port, _KEY)
    await link.send(Hello(host="elsewhere").model_dump_json().encode())
    await link.receive(5)
    while not fleet.helpers:  # noqa: ASYNC110 (the fleet has no event)
        await asyncio.sleep(0.01)
    return link


async def test_strangers_at_the_port_neither_fill_the_terminal_nor_keep_a_helper_away() -> None:
    said: list[str] = []
    async with listening(said) as (fleet, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        for _ in range(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: leader\r\n\r\n" + bytes(100))
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
        async with await joined(port, fleet) as link:
            tick = Tick(wanted=0, connected=0, settled=True, tally=Tally(), reasons={"no_capacity": "full"})
            for _ in range(3):
                await link.send(tick.model_dump_json().encode())
            while "no_capacity: full" not in said:  # noqa: ASYNC110 (another task has no event)
                await asyncio.sleep(0.01)
            assert not fleet.helpers[0].is_gone
            for _, writer in silent:
                writer.close()
    assert said.count("no_capacity: full") == 1
    refusals = [line for line in said if line.startswith("refused a helper from 127.0.0.1: the other side is not")]
    assert [line.endswith("(10 times)") for line in refusals] == [False, True]


async def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    async with listening([]) as (_, port):
        second = Fleet(_KEY, Prepare(url="http://host", agent="echo"), 1, print)
        with pytest.raises(ConfigError, match="address already in use: name another address with --listen"):
            async with second.listening("127.0.0.1", port):
                pass


async def test_nobody_can_come_once_all_helpers_are_there_and_those_stay() -> None:
    async with listening([]) as (fleet, port), await joined(port, fleet) as link:
        fleet.close_door()
        with pytest.raises(LinkError) as closed:
            await open_link("127.0.0.1", port, _KEY)
        assert closed.value.code == "no_leader"
        await link.send(Tick(wanted=0, connected=7, settled=True, tally=Tally()).model_dump_json().encode())
        while not fleet.connected:  # noqa: ASYNC110 (another task has no event)
            await asyncio.sleep(0.01)
        assert fleet.connected == 7


async def test_what_a_helper_says_too_late_is_not_taken_for_the_next_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "_REPORT_TIMEOUT_S", 0.2)
    said: list[str] = []
    async with listening(said) as (fleet, port), await joined(port, fleet) as link:
        await link.send(Tick(wanted=7, connected=7, settled=True, tally=Tally()).model_dump_json().encode())
        while not fleet.connected:  # noqa: ASYNC110 (another task has no event)
            await asyncio.sleep(0.01)
        await fleet.bring_about(7, 0)
        assert await fleet.report() == []
        assert (fleet.live, fleet.lost_callers) == ([], 7)
        with contextlib.suppress(LinkError):
            await link.send(Measured(seconds=1, connected=7, tally=Tally()).model_dump_json().encode())
        assert await fleet.report() == []
    assert said == ["a helper on elsewhere is gone, and 7 callers with it"]
