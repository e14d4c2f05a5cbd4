"""The HTTP server: uvicorn, set up for the open internet."""

import math
import resource
import socket
from typing import Any

from gateway.http_connection import BoundedConfig, HttpBounds
from shared.errors import AntiphonError
from shared.io.logs import get_logger
from shared.io.probes import HttpServer

HEADER_BYTES = 16_384
UNACKNOWLEDGED_MS = 30_000
_SHUTDOWN_S = 2
_SPARE_FILES = 256

log = get_logger()


def http_server(app: Any, bounds: HttpBounds, max_message_bytes: int) -> HttpServer:
    config = BoundedConfig(
        app,
        bounds,
        # A message over the limit gets an error event; beyond twice the limit the client gets close code 1009.
        ws_max_size=2 * max_message_bytes,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=HEADER_BYTES,
        timeout_keep_alive=math.ceil(bounds.request_timeout_s),
        timeout_graceful_shutdown=_SHUTDOWN_S,
        proxy_headers=False,  # uvicorn would believe any program on this machine; `guard` reads them
        log_config=None,
        # Its warnings are about clients' mistakes, one each.
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
    )
    return HttpServer(config)


def listen(host: str, port: int) -> socket.socket:
    """A socket that browsers can connect to. The `AntiphonError` for a port in use says what to do."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise AntiphonError(
            f"cannot listen on {host}:{port} ({error.strerror}): stop what uses it, or set ANTIPHON_GATEWAY_HOST "
            "and ANTIPHON_GATEWAY_PORT",
            code="port_unusable",
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Accepted sockets inherit it. Without it, a peer that never reopens its window would hold a connection forever.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    return listener


def allow_open_files(connections: int) -> None:
    """Raise this process's limit of open files as far as is needed and permitted; often 1024 by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        permitted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (permitted, hard))
        if permitted < wanted:
            log.warning("few_open_files", permitted=permitted, wanted=wanted)
