"""The packed client where there is no browser: in Node, on a server that renders pages, and for TypeScript."""

import json
from pathlib import Path

import pytest

from tests.browser.client_package import check_types, run

_NODE = ("node", "--enable-source-maps", "--input-type=module")

_RENDER = """
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import 'antiphon-client/element';
import { DevicePicker, LevelMeter, VoiceAgent } from 'antiphon-client/react';
const agent = { serverUrl: 'wss://my-server', agentId: 'front-desk' };
const parts = [[VoiceAgent, agent], [LevelMeter, { client: null, side: 'agent' }], [DevicePicker, { client: null }]];
console.log(JSON.stringify(parts.map(([part, props]) => renderToString(createElement(part, props)))));
"""

_MISUSE = """
import { VoiceAgentClient } from 'antiphon-client';
try {
  new VoiceAgentClient({ serverUrl: 'ftp://my-server', agentId: 'front-desk' });
} catch (error) {
  console.log(error.stack);
}
"""

_TYPED = """
import { useEffect, useRef } from 'react';
import { VoiceAgentClient, VoiceAgentError, type CallState } from 'antiphon-client';
import type { VoiceAgentElement } from 'antiphon-client/element';
import { CallButton, VoiceAgent, useVoiceSession } from 'antiphon-client/react';

const client = new VoiceAgentClient({ agentId: 'front-desk', getToken: async () => 'token' });
client.onTranscript = ({ role, text, final }) => console.log(role satisfies 'user' | 'agent', text.trim(), final);
client.onEnded = (error: VoiceAgentError | null) => console.log(error?.code, error?.cure);
const state: CallState = client.state;
// @ts-expect-error There is no such phase.
const isOdd = state.phase === 'odd';

export function Page({ onTranscript }: { onTranscript?: (role: string, text: string) => void }) {
  const element = useRef<VoiceAgentElement>(null);
  useEffect(() => void element.current?.connect(), []);
  const onEnded = (error: VoiceAgentError | null) => console.log(error?.code);
  const session = useVoiceSession({ serverUrl: 'wss://my-server', agentId: 'front-desk', onEnded });
  return (
    <main data-phase={session.phase} data-odd={isOdd}>
      <voice-agent ref={element} agent-id="front-desk" server-url="wss://my-server" push-to-talk className="call" />
      <VoiceAgent serverUrl="wss://my-server" agentId="front-desk" onTranscript={onTranscript} />
      <CallButton client={session.client} start="Call" className="big" />
      {/* @ts-expect-error The agent is missing. */}
      <VoiceAgent serverUrl="wss://my-server" />
    </main>
  );
}
"""


def test_a_server_renders_a_call_that_has_not_begun(client_app: Path) -> None:
    agent, meter, picker = json.loads(run(*_NODE, folder=client_app, given=_RENDER))
    assert agent.startswith('<div class="voice-agent"><div class="status" role="status">Status: <!-- -->idle</div>')
    assert "Start Call" in agent
    assert 'class="transcripts"' in agent
    assert 'class="level-meter"' in meter
    assert "<select" in picker
    assert "style=" not in agent + meter + picker, "which a content security policy may forbid"


def test_an_error_in_the_packed_client_names_the_line_of_its_source(client_app: Path) -> None:
    stack = run(*_NODE, folder=client_app, given=_MISUSE)
    assert "not the URL of a server: ftp://my-server" in stack
    assert "antiphon-client/src/core/server-address.js:7" in stack


@pytest.mark.parametrize("resolution", ["bundler", "node16"])
def test_typescript_finds_the_types_of_each_entry_point(client_app: Path, resolution: str) -> None:
    config = json.loads((client_app / "tsconfig.json").read_text(encoding="utf-8"))
    module = "ES2022" if resolution == "bundler" else "node16"
    config["compilerOptions"] |= {"moduleResolution": resolution, "module": module}
    folder = client_app / resolution
    folder.mkdir()
    config["include"] = ["../src", "."] if resolution == "bundler" else ["."]
    (folder / "tsconfig.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "page.tsx").write_text(_TYPED, encoding="utf-8")
    check_types(folder)
