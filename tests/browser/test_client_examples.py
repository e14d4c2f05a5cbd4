"""client/examples and the starts of docs/client.md in a real Chromium, from another origin than the gateway's."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.chromium import chromium, screenshot, write_wave
from tests.browser.client_package import EXAMPLES, build, documented, documented_policy, run
from tests.browser.origin import served
from tests.integration.deployment import Deployment, deployed

pytestmark = pytest.mark.asyncio(loop_scope="module")

_TALK_MS = 40_000
_GREETING = "Hello, this is Trattoria Aurora."
_QUESTION = re.compile(r"your open", re.IGNORECASE)  # on a busy machine the rest may be misheard
_ANSWER = "We are open from five"
_CALL = re.compile(r"^(Start|Start Call|Call)$")
_HANG_UP = re.compile(r"^(Stop|End Call|Hang up)$")

_WATCH = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...config) { super(...config); window.connections.push(this); }
};
window.violations = [];
document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
  window.violations.push(`${violatedDirective} ${blockedURI}`);
});
"""
_IS_HEARD = """async () => {
  const report = await window.connections.at(-1).getStats();
  return [...report.values()].some(({ type, totalAudioEnergy }) => type === 'inbound-rtp' && totalAudioEnergy > 0.01);
}"""
_IS_OVER = """() => window.connections.every((connection) => connection.connectionState === 'closed'
  && connection.getSenders().every(({ track }) => track === null || track.readyState === 'ended'))"""

_METER_MOVES = "/scaleX\\(0\\.[1-9]/.test(document.querySelector('.level-meter div').style.transform)"

_RENDER = """
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { VoiceAgent } from 'antiphon-client/react';
console.log(renderToString(createElement(VoiceAgent, { serverUrl: 'wss://my-server', agentId: 'front-desk' })));
"""

_CHANGES = """
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { VoiceAgent } from 'antiphon-client/react';

function Page() {
  const [count, setCount] = useState(0);
  const getToken = () => { window.asked = count; return ''; };
  const onTranscript = (role, text) => { window.heard = `${count} ${role} ${text}`; };
  const options = { serverUrl: 'https://my-server', agentId: 'front-desk', onTranscript };
  if (count > 0) Object.assign(options, { getToken });
  return <><button onClick={() => setCount(count + 1)}>Again</button><VoiceAgent {...options} /></>;
}
createRoot(document.getElementById('root')).render(<Page />);
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(broker_url: str, customer_port: int) -> AsyncIterator[Deployment]:
    """Without the wait for keys to expire, which other tests of calls have."""
    async with deployed(broker_url, ANTIPHON_GATEWAY_ORIGINS=f"http://127.0.0.1:{customer_port}") as running:
        yield running


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A microphone that nobody speaks into. Pages share one: a late page would hear a question in its greeting."""
    return write_wave(tmp_path_factory.mktemp("silence") / "silence.wav", np.zeros(48_000, np.int16))


@pytest.fixture(scope="module")
def site(
    deployment: Deployment, customer_port: int, client_app: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The customer's website, with every example and every start, the element's under the documented policy."""
    server = f"http://127.0.0.1:{deployment.port}"

    def addressed(text: str) -> str:
        return text.replace("http://127.0.0.1:8080", server).replace("https://my-server", server)

    def page(body: str, head: str = "") -> str:
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}<title>A customer</title></head>{body}'
        )

    website = tmp_path_factory.mktemp("website")
    for example in ("vanilla", "element"):
        shutil.copytree(EXAMPLES / example, website / example)
        file = website / example / "index.html"
        file.write_text(addressed(file.read_text(encoding="utf-8")), encoding="utf-8")
    policy = documented_policy().replace("wss://my-server", f"ws://127.0.0.1:{deployment.port}")
    meta = f'<meta http-equiv="content-security-policy" content="{policy}">'
    (html,) = documented("One line of HTML")
    (website / "strict.html").write_text(addressed(page(html, meta)), encoding="utf-8")
    (html,) = documented("Without our code")
    (website / "plain.html").write_text(addressed(page(html)), encoding="utf-8")

    (npm,) = documented("npm")
    whole, parts = documented("React")
    (next_page,) = documented("Next.js")
    buttons = '<button id="start">Start</button><button id="stop">Stop</button>'
    sources = {
        "npm.js": npm,
        "whole.jsx": whole,
        "parts-component.jsx": parts,
        "parts.jsx": "import { createRoot } from 'react-dom/client';\nimport { Desk } from './parts-component.jsx';\n"
        "createRoot(document.getElementById('root')).render(<Desk />);\n",
        "changes.jsx": _CHANGES,
        "next-page.jsx": next_page,
        "next.jsx": "import { hydrateRoot } from 'react-dom/client';\nimport Page from './next-page.jsx';\n"
        "hydrateRoot(document.getElementById('root'), <Page />);\n",
    }
    for name, source in sources.items():
        (client_app / name).write_text(addressed(source), encoding="utf-8")
    root = '<div id="root">{}</div>'
    rendered = run("node", "--input-type=module", folder=client_app, given=_RENDER).strip()
    bodies = dict.fromkeys(("whole", "parts", "changes"), root.format(""))
    bodies |= {"npm": buttons, "next": root.format(rendered)}
    for name, body in bodies.items():
        (script,) = (source for source in sources if source.startswith(f"{name}."))
        html = page(f'{body}<script type="module" src="/{script}"></script>')
        (client_app / f"{name}.html").write_text(html, encoding="utf-8")
    (website / "favicon.ico").touch()
    build(client_app, website / "built", "production", VITE_SERVER_URL=server)
    build(client_app, website / "development", "development", VITE_SERVER_URL=server)
    with served(website, customer_port) as origin:
        yield origin


async def opened(browser: BrowserContext, url: str) -> tuple[Page, list[str]]:
    """The page, and what its console says."""
    page = await browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    await page.add_init_script(_WATCH)
    await page.goto(url)
    return page, said


async def hang_up(page: Page) -> None:
    await page.get_by_role("button", name=_HANG_UP).click()
    await page.wait_for_function(_IS_OVER)


def complaints(said: list[str]) -> list[str]:
    return [line for line in said if line.startswith(("error", "warning"))]


async def test_each_example_is_a_whole_conversation(site: str, microphone: Path) -> None:
    async def conversation(name: str, page: Page) -> None:
        await page.get_by_role("button", name=_CALL).click()
        for words in (_GREETING, _QUESTION, _ANSWER):
            await expect(page.get_by_text(words).first).to_be_visible(timeout=_TALK_MS)
        await page.wait_for_function(_IS_HEARD)
        await screenshot(page, f"example-{name}")
        await hang_up(page)
        await expect(page.get_by_role("button", name=_CALL)).to_be_enabled()

    examples = {"vanilla": "vanilla/", "element": "element/", "react": "built/"}
    async with chromium(microphone) as browser:
        pages = {name: await opened(browser, f"{site}/{path}") for name, path in examples.items()}
        async with asyncio.TaskGroup() as group:
            for name, (page, _) in pages.items():
                group.create_task(conversation(name, page))
    assert [line for _, said in pages.values() for line in complaints(said)] == []


async def test_each_documented_start_calls_as_it_stands(site: str, silence: Path) -> None:
    async def greeted(path: str) -> None:
        page, said = await opened(browser, f"{site}/{path}")
        await page.get_by_role("button", name=_CALL).click()
        if path == "built/npm.html":
            async with asyncio.timeout(_TALK_MS / 1000):
                while not any(line.startswith(f"log: agent: {_GREETING}") for line in said):
                    await page.wait_for_event("console", timeout=_TALK_MS)
        else:
            await expect(page.get_by_text(_GREETING).first).to_be_visible(timeout=_TALK_MS)
        await page.wait_for_function(_IS_HEARD)
        await hang_up(page)
        assert complaints(said) == []
        if path == "strict.html":
            await page.evaluate("fetch('http://127.0.0.1:9/').catch(() => {})")
            await page.wait_for_function("() => window.violations.length > 0")
            assert await page.evaluate("window.violations") == ["connect-src http://127.0.0.1:9/"], "no other one"

    async with chromium(silence) as browser, asyncio.TaskGroup() as group:
        for path in (
            "strict.html",
            "plain.html",
            "built/npm.html",
            "built/whole.html",
            "built/parts.html",
            "development/next.html",
        ):
            group.create_task(greeted(path))


async def test_a_call_ends_when_its_react_component_goes_or_gets_another_agent(site: str, silence: Path) -> None:
    async with chromium(silence) as browser:
        page, said = await opened(browser, f"{site}/development/")
        call = page.get_by_role("button", name=_CALL)
        await call.click()
        await expect(page.get_by_text("Hello").first).to_be_visible(timeout=_TALK_MS)
        await page.wait_for_function(_METER_MOVES)
        await page.get_by_label("Agent", exact=True).select_option("bike-shop")
        await page.wait_for_function(_IS_OVER)
        await expect(page.get_by_text("Hello")).to_have_count(0)
        await call.click()
        await expect(page.get_by_text("Spoke and Chain").first).to_be_visible(timeout=_TALK_MS)
        await page.get_by_role("button", name="Close").click()
        await page.wait_for_function(_IS_OVER)
        assert await page.evaluate("window.connections.length") == 2
        await page.get_by_role("button", name="Open").click()
        await expect(call).to_be_enabled()
        assert complaints(said) == []
        assert any("React DevTools" in line for line in said), "React's own checks were not on"


async def test_what_react_gives_last_is_what_counts(site: str, silence: Path) -> None:
    async with chromium(silence) as browser:
        page, said = await opened(browser, f"{site}/development/changes.html")
        again = page.get_by_role("button", name="Again")
        await again.click()
        await again.click()
        await page.get_by_role("button", name=_CALL).click()
        await page.wait_for_function("window.asked === 2")
        await again.click()
        await page.wait_for_function(f"window.heard?.startsWith('3 agent {_GREETING}')", timeout=_TALK_MS)
        assert await page.evaluate("window.connections.length") == 1
        await hang_up(page)
        assert complaints(said) == []
