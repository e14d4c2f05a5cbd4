"""The gateway's HTTP side: the page, signaling, the public API, liveness and readiness."""

import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from gateway.api_requests import answer_error
from gateway.guard import EntryRules, Guard
from gateway.signaling_endpoint import SignalingEndpoint
from shared.agent import AgentDefinition, EngineChoice
from shared.errors import AntiphonError
from shared.io.probes import Readiness, probe_routes

PAGE_FOLDER = Path(__file__).parent / "page"
CLIENT_FOLDER = Path(__file__).parent.parent / "client" / "src"
_PAGE_HEADERS = {
    # 'self' in connect-src covers ws: and wss: of the same host (CSP Level 3 §6.7.2.8).
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Browsers keep the files and ask each time whether they have changed, so a new version is seen at once.
    "cache-control": "no-cache",
}
mimetypes.add_type("text/javascript", ".js")  # RFC 9239; Python 3.11 and some systems know the older name
_NAMING_OPTIONS = ("plugin", "model", "voice")
"""Options that name the model an engine uses."""


def create_app(
    signaling: SignalingEndpoint,
    listed_agents: Sequence[AgentDefinition],
    api_routes: Sequence[Route],
    not_ready: Readiness,
    entry: EntryRules,
    origins: Sequence[str],
) -> Starlette:
    """`origins` may read the API from their pages. `entry` decides who gets here at all."""
    agents = [_described(agent) for agent in listed_agents]
    api = Mount(
        "/api",
        routes=[
            _json_route("/agents", {"agents": agents}),
            *api_routes,
        ],
        # A caller's page may send its token; an API key belongs to no page, so no page may post.
        middleware=[
            Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET"], allow_headers=["authorization"])
        ],
    )
    cors = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET"])
    client = Mount("/client", _Page(directory=CLIENT_FOLDER), middleware=[cors])
    # A route rather than a mount: a mount would also take WebSockets, which `StaticFiles` cannot serve.
    page = Route("/{path:path}", _Page(directory=PAGE_FOLDER, html=True))
    dashboard = Route("/dashboard", _open_dashboard)
    return Starlette(
        routes=[WebSocketRoute("/signaling", signaling.serve), api, client, *probe_routes(not_ready), dashboard, page],
        middleware=[Middleware(Guard, rules=entry)],
        exception_handlers={AntiphonError: answer_error},
    )


class _Page(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_PAGE_HEADERS)
        return response


async def _open_dashboard(_: Request) -> Response:
    """`StaticFiles` would name a scheme too, which it does not know behind a proxy that ends TLS."""
    return RedirectResponse("/dashboard/")


def _described(agent: AgentDefinition) -> dict[str, object]:
    described: dict[str, object] = {"id": agent.id, "name": agent.name, "description": agent.description}
    if agent.mode == "echo":  # has no turns
        return {**described, "turnTaking": "automatic", "engines": {}}
    engines = {
        "speechToText": _named(agent.speech_to_text),
        "languageModel": _named(agent.language_model),
        "textToSpeech": _named(agent.text_to_speech),
    }
    return {**described, "turnTaking": agent.turn_taking.mode, "engines": engines}


def _named(choice: EngineChoice) -> str:
    """The engine and the model that the agent file chooses. A path is cut to its last part, to keep folders private."""
    chosen = (choice.options.get(option) for option in _NAMING_OPTIONS)
    return " ".join([choice.engine, *(PurePath(name).name for name in chosen if isinstance(name, str))])


def _json_route(path: str, content: Mapping[str, object]) -> Route:
    async def respond(_: Request) -> Response:
        return JSONResponse(content, headers={"cache-control": "no-store"})

    return Route(path, respond)
