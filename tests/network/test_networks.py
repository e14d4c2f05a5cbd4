"""Calls over the networks that callers have: NAT, firewalls, loss, outages, IPv6 and narrow links.

The figures are printed in the summary.
"""

import asyncio
from collections.abc import Callable

import pytest

from tests.integration.talk import Talk
from tests.load.heard_words import silences
from tests.network.conftest import Stage
from tests.network.hosts import routed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

Record = Callable[[str, object], None]
_HEARD_S = 1.0
_WORST_GAP_S = 3.0
_END_TIMEOUT_S = 25.0
_BROWSER_CHECKS_S = 2.0
"""Chromium checks every 2.5 s at least. aiortc checks every 4 to 6 s; with this, every 1.6 to 2.4 s."""


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _longest_gap(talk: Talk, since_s: float, good_s: float) -> float:
    """Between two words of the reply, in seconds. Raises `TimeoutError` if none is heard after `good_s`."""
    async with asyncio.timeout(_END_TIMEOUT_S):
        while not (words := talk.words()) or words[-1].at_s < good_s:
            await asyncio.sleep(0.25)
    return max(end_s - begin_s for begin_s, end_s in silences(words, words[0].at_s) if end_s > since_s)


@pytest.mark.parametrize("changes", ["port", "address"])
async def test_the_callers_nat_gives_them_another(
    stage: Stage, changes: str, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", _BROWSER_CHECKS_S)
    with routed(stage.server) as network, network.caller:
        network.router.translate("40000-40999")
        async with stage.talking() as talk:
            connection = talk.caller.pc
            await talk.ask()
            await talk.hear(_HEARD_S)
            at_s = _now_s()
            network.router.rebind("41000-41999") if changes == "port" else network.router.move()
            gap_s = await _longest_gap(talk, at_s, at_s + _WORST_GAP_S)
            record_property("gap in s", round(gap_s, 2))
            assert talk.caller.pc is connection
            assert talk.caller.record.end_reason is None
    assert gap_s < _WORST_GAP_S


async def test_udp_is_blocked_for_five_seconds(stage: Stage, record_property: Record) -> None:
    with routed(stage.server) as network, network.caller:
        async with stage.talking(resumes=True) as talk:
            await talk.ask()
            await talk.hear(_HEARD_S)
            at_s = _now_s()
            network.router.block_udp()
            await asyncio.sleep(5)
            network.router.pass_udp()
            back_s = _now_s()
            gap_s = await _longest_gap(talk, at_s, back_s)
            record_property("gap in s", round(gap_s, 2))
            assert talk.caller.reconnections == 0
            assert talk.caller.record.end_reason is None
    assert gap_s < back_s - at_s + 1.0


async def test_udp_is_blocked_for_twenty_seconds(stage: Stage, record_property: Record) -> None:
    """One caller is the specification's plain client, and one comes back with its resume token."""
    with routed(stage.server) as network, network.caller:
        async with stage.talking() as plain, stage.talking(resumes=True) as talk:
            network.router.block_udp()
            at_s = _now_s()
            await asyncio.sleep(20)
            network.router.pass_udp()
            back_s = _now_s()
            for each in (plain, talk):
                print(each.caller.reconnections, each.caller.record.entries, each.caller.signaling.lost)
            await asyncio.sleep(8)
            for each in (plain, talk):
                print(
                    each.caller.reconnections,
                    [(e.at_s - at_s, e.fields) for e in each.caller.record.entries],
                    each.caller.signaling.lost,
                )
            print(talk.caller.socket_events)
            assert 0
