"""The client in a real Firefox: it hears the agent, and the agent hears it."""

import socket
from collections.abc import Callable
from pathlib import Path

from tests.browser.firefox import FirefoxPage, firefox
from tests.integration.deployment import deployed
from tests.integration.talk import AGENT, TEXT, write_agent

Record = Callable[[str, object], None]
_ECHO = Path(__file__).resolve().parents[2] / "deploy" / "agents" / "echo.yaml"
_LISTEN = """(() => {
  const Original = RTCPeerConnection;
  window.connections = [];
  window.RTCPeerConnection = class extends Original {
    constructor(...options) { super(...options); window.connections.push(this); }
  };
})()"""
_CALL = """import('/client/voice-agent.js').then(async ({{ VoiceAgentClient }}) => {{
  const client = window.client = new VoiceAgentClient({{ agentId: '{agent}' }});
  client.mute({muted});
  await client.connect();
  return client.state.phase;
}})"""
_ENERGY = """connections.at(-1).getStats().then((report) =>
  [...report.values()].find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio')?.totalAudioEnergy ?? 0)"""
_AUDIBLE = 0.01
"""Audio energy (W3C webrtc-stats): a second at a tenth of full scale."""


async def test_a_call_in_firefox(broker_url: str, tmp_path: Path, record_property: Record) -> None:
    agents, profile = tmp_path / "agents", tmp_path / "profile"
    agents.mkdir()
    profile.mkdir()
    write_agent(agents)
    (agents / "echo.yaml").write_bytes(_ECHO.read_bytes())
    async with (
        deployed(broker_url, ANTIPHON_AGENTS_DIR=str(agents), ANTIPHON_PUBLIC_IPS=_own_address()) as deployment,
        firefox(profile) as page,
    ):
        await page.open(f"http://127.0.0.1:{deployment.port}/")
        await page.get(_LISTEN)
        assert await page.get(_CALL.format(agent=AGENT, muted="true")) == "connected"
        await page.until("client.sendText('What do you have?')")
        record_property("energy of the agent's voice", await _heard(page))
        await page.until("client.state.transcript.some(({ role, final }) => role === 'agent' && final)")
        assert await page.get("client.state.transcript.find(({ role }) => role === 'agent').text") == TEXT
        await page.get("client.disconnect()")
        assert await page.get(_CALL.format(agent="echo", muted="false")) == "connected"
        record_property("energy of the caller's own voice, from an echo", await _heard(page))
        await page.get("client.disconnect()")
        assert await page.get("[client.state.phase, client.state.reason]") == ["ended", "hangup"]


def _own_address() -> str:
    """Firefox does not send from the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


async def _heard(page: FirefoxPage) -> str:
    await page.until(f"{_ENERGY}.then((energy) => energy > {_AUDIBLE})")
    return f"{await page.get(_ENERGY):.3f}"
