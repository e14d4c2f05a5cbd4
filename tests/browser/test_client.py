"""The client that a gateway serves, in a real Chromium: it calls, comes back, and can call again."""

from pathlib import Path

import pytest

from tests.browser.chromium import chromium
from tests.integration.deployment import Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CALL = """async () => {
  const { VoiceAgentClient } = await import('/client/voice-agent.js');
  const client = window.client = new VoiceAgentClient({ agentId: 'front-desk' });
  window.seqs = [];
  client.onEvent = ({ seq }) => window.seqs.push(seq);
  await client.connect();
}"""
_IS_WHOLE = "({ phase, socket, peer, nextPeer }) => phase === 'connected' && socket?.state === 'attached' && !nextPeer"
_CUT = "() => [...client.link.sockets.values()].forEach((socket) => socket.close())"
_DRAINED = "() => client.link.dispatch({ type: 'goaway', timeLeftMs: 30_000 })"


async def test_a_call_whose_connections_are_lost_goes_on(deployment: Deployment, microphone: Path) -> None:
    async with chromium(microphone) as browser:
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{deployment.port}/")
        await page.evaluate(_CALL)
        await page.wait_for_function("() => client.state.isReady && client.state.transcript.length > 0")
        for lose, renewed in [(_CUT, "socket"), (_DRAINED, "peer")]:
            before = await page.evaluate(f"() => client.link.state.{renewed}.id")
            await page.evaluate(lose)
            await page.wait_for_function(
                f"(before) => ({_IS_WHOLE})(client.link.state) && client.link.state.{renewed}.id !== before", arg=before
            )
        assert await page.evaluate("() => [client.link.sockets.size, client.link.peers.size]") == [1, 1]
        await page.wait_for_function("() => client.sendText('What are your opening hours?')")
        await page.wait_for_function(
            "() => client.state.transcript.some(({ role, text }) => role === 'agent' && /Mondays/.test(text))"
        )
        seqs = await page.evaluate("() => window.seqs")
        assert len(set(seqs)) == len(seqs), "each event counts once"
        await page.evaluate("() => client.disconnect()")
        assert await page.evaluate("() => [client.state.phase, client.state.reason]") == ["ended", "hangup"]
        await page.evaluate("() => client.connect()")
        assert await page.evaluate("() => client.state.phase") == "connected"
