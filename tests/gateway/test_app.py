import re
from collections.abc import AsyncIterator
from typing import cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from gateway.access import Access
from gateway.app import PAGE_FOLDER, create_app
from gateway.ice_servers import IceServers
from gateway.settings import GatewaySettings, IceServer
from gateway.signaling_endpoint import SignalingEndpoint
from gateway.token_store import TokenStore
from shared.agent import AgentDefinition, EngineChoice, TurnTaking
from shared.io.broker import connect

BY_BUTTON = TurnTaking(mode="push_to_talk")
AGENTS = [
    AgentDefinition(
        id="echo", name="Echo", description="Plays back what it hears.", mode="echo", turn_taking=BY_BUTTON
    ),
    AgentDefinition(
        id="radio",
        name="Radio",
        turn_taking=BY_BUTTON,
        speech_to_text=EngineChoice(engine="moonshine", options={"model": "/srv/models/tiny-en/"}),
        text_to_speech=EngineChoice(engine="openai", options={"model": "gpt-tts", "voice": "alloy", "speed": 1.2}),
    ),
]
SETTINGS = GatewaySettings(gateway_ice_servers=[IceServer(urls="stun:192.0.2.1")])


class NoSignaling:
    async def serve(self, websocket: object) -> None:
        raise AssertionError("nobody calls")


class Readiness:
    reason: str | None = None

    def __call__(self) -> str | None:
        return self.reason


def app_of(readiness: Readiness) -> Starlette:
    access = Access(SETTINGS, [], TokenStore(connect("redis://127.0.0.1:1/0")))
    return create_app(cast(SignalingEndpoint, NoSignaling()), AGENTS, access, IceServers(SETTINGS), readiness)


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def http(readiness: Readiness) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app_of(readiness)), base_url="http://gateway.test"
    ) as client:
        yield client


async def test_the_page_has_the_specifications_elements(http: httpx.AsyncClient) -> None:
    page = (await http.get("/")).text
    for element_id in ("controls", "startBtn", "stopBtn", "status", "remoteAudio"):
        assert f'id="{element_id}"' in page
    assert re.search(r'<button id="stopBtn"[^>]* disabled>End Call</button>', page)


async def test_the_page_runs_only_its_own_scripts(http: httpx.AsyncClient) -> None:
    response = await http.get("/")
    policy = response.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script(?![^>]*\ssrc=)", response.text), "an inline script would not run"
    assert not re.search(r"\son\w+=|\sstyle=", response.text)


async def test_everything_the_page_asks_for_is_there(http: httpx.AsyncClient) -> None:
    page = (await http.get("/")).text
    files = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page)
    files += re.findall(r"from '\./([^']+)'", (PAGE_FOLDER / "page.js").read_text())
    assert sorted(files) == ["page.css", "page.js", "voice-agent.js"]
    types = {".js": "text/javascript", ".css": "text/css"}
    for file in files:
        response = await http.get(f"/{file}")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(types[file[file.rindex(".") :]])


async def test_a_browser_that_has_the_page_is_not_sent_it_again(http: httpx.AsyncClient) -> None:
    first = await http.get("/page.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await http.get("/page.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    changed = await http.get("/page.js", headers={"if-none-match": '"of yesterday"'})
    assert (changed.status_code, changed.content) == (200, first.content)


async def test_head_has_the_headers_without_the_file(http: httpx.AsyncClient) -> None:
    page, head = await http.get("/"), await http.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == page.headers


@pytest.mark.parametrize("path", ["/no-such-file", "/%2e%2e/app.py", "/..%2f..%2fpyproject.toml", "//etc/passwd"])
async def test_only_the_pages_own_files_are_served(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 404


async def test_the_page_takes_no_posts(http: httpx.AsyncClient) -> None:
    assert (await http.post("/")).status_code == 405


async def test_a_websocket_to_an_unknown_path_is_refused(readiness: Readiness) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app_of(readiness)({"type": "websocket", "path": "/elsewhere", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_listed_agents(http: httpx.AsyncClient) -> None:
    response = await http.get("/api/agents")
    echo = {"id": "echo", "name": "Echo", "description": "Plays back what it hears.", "turnTaking": "automatic"}
    radio = {"id": "radio", "name": "Radio", "description": "", "turnTaking": "push_to_talk"}
    # As the agent file has them, but for the folders of its machine.
    engines = {"speechToText": "moonshine tiny-en", "languageModel": "scripted", "textToSpeech": "openai gpt-tts alloy"}
    assert response.json() == {"agents": [{**echo, "engines": {}}, {**radio, "engines": engines}]}


async def test_ice_servers(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/ice-servers")).json() == {"iceServers": [{"urls": "stun:192.0.2.1"}]}


@pytest.mark.parametrize("path", ["/api/agents", "/api/ice-servers"])
async def test_pages_of_other_origins_may_read_the_api(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path, headers={"origin": "https://elsewhere.example"})
    assert response.headers["access-control-allow-origin"] == "*"
    assert (await http.get("/", headers={"origin": "https://elsewhere.example"})).headers.get(
        "access-control-allow-origin"
    ) is None


async def test_a_callers_page_may_send_its_token_but_no_page_may_make_one(http: httpx.AsyncClient) -> None:
    async def allowed(path: str, method: str) -> bool:
        asks = {"access-control-request-method": method, "access-control-request-headers": "authorization"}
        return (await http.options(path, headers={"origin": "https://elsewhere.example"} | asks)).status_code == 200

    assert await allowed("/api/ice-servers", "GET")
    assert not await allowed("/api/tokens", "POST")


async def test_an_error_of_the_api_has_code_and_message(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/tokens", json={"agentId": "echo"})
    assert (response.status_code, response.json()["code"]) == (401, "api_key_required")


async def test_probes(http: httpx.AsyncClient, readiness: Readiness) -> None:
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).status_code == 200
    readiness.reason = "draining"
    response = await http.get("/readyz")
    assert (response.status_code, response.json()["reason"]) == (503, "draining")
    assert "antiphon_gateway_signaling_connections" in (await http.get("/metrics")).text
