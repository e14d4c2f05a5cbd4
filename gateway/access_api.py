"""The HTTP routes of access: session tokens for programs with an API key, ICE servers for callers."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access import Access, TokenRequest
from gateway.api_requests import NOT_CACHED, bearer, body, parsed
from gateway.ice_servers import IceServers
from shared.ids import new_session_id


def access_routes(access: Access, ice_servers: IceServers) -> list[Route]:
    async def make_token(request: Request) -> Response:
        name = access.require_scope("calls", bearer(request))
        wanted = parsed(TokenRequest, await body(request))
        token = await access.make_token(name, wanted)
        return JSONResponse({"token": token, "expiresInS": wanted.ttl_s}, 201, NOT_CACHED)

    async def list_ice_servers(request: Request) -> Response:
        grant = await access.check(bearer(request))
        servers = ice_servers.of_client(grant.token_id or new_session_id())
        policy = {"iceTransportPolicy": "relay"} if ice_servers.transport_policy == "relay" else {}
        return JSONResponse({"iceServers": servers, **policy}, headers=NOT_CACHED)

    return [Route("/tokens", make_token, methods=["POST"]), Route("/ice-servers", list_ice_servers)]
