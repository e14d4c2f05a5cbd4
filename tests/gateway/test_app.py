import re
from collections.abc import AsyncIterator, Sequence
from typing import cast
from urllib.parse import urljoin

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import Message
from structlog.testing import capture_logs

from gateway.access import Access
from gateway.access_api import access_routes
from gateway.app import PAGE_FOLDER, create_app
from gateway.core.client_address import TrustedProxies
from gateway.core.connection_limits import ConnectionLimits
from gateway.core.origins import OriginPolicy
from gateway.guard import EntryRules
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
SHOP = "https://shop.example"


class NoSignaling:
    async def serve(self, websocket: object) -> None:
        raise AssertionError("nobody calls")


class Readiness:
    reason: str | None = None

    def __call__(self) -> str | None:
        return self.reason


def app_for(readiness: Readiness, allowed: Sequence[str] = ()) -> Starlette:
    entry = EntryRules(OriginPolicy(allowed, loopback_only=False), TrustedProxies([]), ConnectionLimits(10, 10))
    access = Access(SETTINGS, [], TokenStore(connect("redis://127.0.0.1:1/0")))
    endpoint = cast(SignalingEndpoint, NoSignaling())
    return create_app(endpoint, AGENTS, access_routes(access, IceServers(SETTINGS)), readiness, entry, allowed)


def client(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test")


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def http(readiness: Readiness) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app_for(readiness)) as http:
        yield http


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
    files += re.findall(r"import '/([^']+)'", (PAGE_FOLDER / "page.js").read_text())
    assert sorted(files) == ["client/voice-agent-element.js", "look.css", "page.css", "page.js"]
    types = {".js": "text/javascript", ".css": "text/css"}
    for file in files:
        response = await http.get(f"/{file}")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(types[file[file.rindex(".") :]])


async def test_the_dashboard_is_found_without_the_slash_too(http: httpx.AsyncClient) -> None:
    found = await http.get("/dashboard")
    assert (found.status_code, found.headers["location"]) == (307, "/dashboard/")
    page = await http.get("/dashboard/")
    assert "<title>Antiphon dashboard</title>" in page.text
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=", page.text), "the policy forbids it"
    assert "script-src 'self'" in page.headers["content-security-policy"]


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


async def test_pages_get_the_client_from_the_server_itself(http: httpx.AsyncClient) -> None:
    response = await http.get("/client/voice-agent.js")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-cache", "a new version of the server brings a new client"


async def test_everything_the_client_imports_is_there(http: httpx.AsyncClient) -> None:
    to_get, seen = ["/client/voice-agent.js"], set[str]()
    while to_get:
        path = to_get.pop()
        seen.add(path)
        response = await http.get(path)
        assert response.status_code == 200, path
        assert response.headers["content-type"].startswith("text/javascript")
        imports = {
            urljoin(path, name) for name in re.findall(r"^(?:import|export) .*'(\..+)'", response.text, re.MULTILINE)
        }
        to_get += imports - seen
    assert "/client/core/connection.js" in seen


async def test_pages_of_allowed_origins_may_import_the_client(readiness: Readiness) -> None:
    async with client(app_for(readiness, [SHOP])) as http:
        module = await http.get("/client/voice-agent.js", headers={"origin": SHOP})
        assert (module.status_code, module.headers["access-control-allow-origin"]) == (200, SHOP)
        refused = await http.get("/client/voice-agent.js", headers={"origin": "https://elsewhere.example"})
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")


@pytest.mark.parametrize(
    "path",
    [
        "/client",
        "/client/",
        "/client/core",
        "/client/core/",
        "/client/no-such-file.js",
        "/client/../package.json",
        "/client/%2e%2e/package.json",
        "/client/..%2fpackage.json",
        "/client//etc/passwd",
    ],
)
async def test_only_the_clients_own_files_are_served(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 404


async def test_the_page_takes_no_posts(http: httpx.AsyncClient) -> None:
    assert (await http.post("/")).status_code == 405


async def test_a_websocket_to_an_unknown_path_is_refused(readiness: Readiness) -> None:
    app = app_for(readiness)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": "/elsewhere", "headers": []}, receive, send)
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
async def test_pages_of_allowed_origins_may_read_the_api(readiness: Readiness, path: str) -> None:
    async with client(app_for(readiness, [SHOP])) as http:
        response = await http.get(path, headers={"origin": SHOP})
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, SHOP)
        page = await http.get("/", headers={"origin": SHOP})
        assert "access-control-allow-origin" not in page.headers
    async with client(app_for(readiness, ["*"])) as http:
        response = await http.get(path, headers={"origin": SHOP})
        assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/", "/api/agents", "/api/ice-servers"])
async def test_any_website_could_read_the_turn_credentials(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path, headers={"origin": "https://elsewhere.example"})
    assert (response.status_code, response.json()["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in response.headers
    assert (await http.get(path, headers={"origin": "http://gateway.test"})).status_code == 200


async def test_a_refused_request_cannot_write_to_the_operators_terminal(http: httpx.AsyncClient) -> None:
    origin = b"https://\x9b31m.example/" + 1000 * b"x"
    with capture_logs() as logs:
        assert (await http.get("/%1b[31m%0aready", headers=[(b"origin", origin)])).status_code == 403
    [refusal] = logs
    assert refusal["event"] == "origin_not_allowed"
    assert refusal["path"] == r"/\x1b[31m\nready"
    assert refusal["origin"].startswith(r"https://\x9b31m.example/xxx")
    assert len(refusal["origin"]) < 250


async def test_a_callers_page_may_send_its_token_but_no_page_may_make_one(readiness: Readiness) -> None:
    asks = {"origin": SHOP, "access-control-request-headers": "authorization"}
    async with client(app_for(readiness, [SHOP])) as http:
        read = await http.options("/api/ice-servers", headers=asks | {"access-control-request-method": "GET"})
        make = await http.options("/api/tokens", headers=asks | {"access-control-request-method": "POST"})
    assert (read.status_code, make.status_code) == (200, 400)


async def test_an_error_of_the_api_has_code_and_message(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/tokens", json={"agentId": "echo"})
    assert (response.status_code, response.json()["code"]) == (401, "api_key_required")


async def test_probes(http: httpx.AsyncClient, readiness: Readiness) -> None:
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).status_code == 200
    readiness.reason = "draining"
    response = await http.get("/readyz")
    assert (response.status_code, response.json()["reason"]) == (503, "draining")


async def test_strangers_do_not_see_the_metrics(http: httpx.AsyncClient) -> None:
    assert (await http.get("/metrics")).status_code == 404
