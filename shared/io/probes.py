"""`/healthz`, `/readyz` and `/metrics`, on a port of their own. The gateway's public port has the first two as well."""

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.errors import ConfigError

Readiness = Callable[[], str | None]
"""None when ready, else the reason why not."""


def probe_routes(not_ready: Readiness) -> list[Route]:
    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        reason = not_ready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def probe_app(not_ready: Readiness, more: Sequence[Route] = ()) -> Starlette:
    return Starlette(routes=[*probe_routes(not_ready), Route("/metrics", _metrics), *more])


async def _metrics(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class HttpServer(uvicorn.Server):
    """uvicorn as one task of a service, which handles the signals itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_probes(host: str, port: int, not_ready: Readiness, more: Sequence[Route] = ()) -> None:
    """Serve until cancelled, also a service's `more` routes. Raises `ConfigError` if the port is not available."""
    app = probe_app(not_ready, more)
    config = uvicorn.Config(app, log_config=None, log_level="error", access_log=False, lifespan="off")
    server = HttpServer(config)
    with _listen(host, port) as listener:
        try:
            await server.serve(sockets=[listener])
        finally:
            # uvicorn leaves its listeners open when it is cancelled.
            for listening in getattr(server, "servers", ()):
                listening.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"probes cannot listen on {host} port {port} ({error.strerror}): set ANTIPHON_PROBE_PORT"
        ) from error
