"""`python -m gateway`: signaling, placement, the page and its API."""

import asyncio
import platform
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from starlette.routing import Route

from gateway.access import Access
from gateway.access_api import access_routes
from gateway.admin_api import AdminApi
from gateway.admission import Admission
from gateway.app import create_app
from gateway.core.client_address import TrustedProxies, is_loopback
from gateway.core.client_messages import Limits
from gateway.core.connection_limits import ConnectionLimits
from gateway.core.origins import EVERYONE, OriginPolicy
from gateway.core.signaling_rules import SignalingRules
from gateway.fleet import Fleet
from gateway.guard import EntryRules
from gateway.http_connection import HttpBounds
from gateway.http_server import allow_open_files, http_server, listen
from gateway.ice_servers import IceServers
from gateway.media_link import MediaLink
from gateway.placement_store import PlacementStore
from gateway.placer import Placer
from gateway.scaling_api import scaling_route
from gateway.session_directory import SessionDirectory
from gateway.session_limits import SessionLimits
from gateway.session_list import SessionList
from gateway.settings import GatewaySettings
from gateway.signaling_connection import SignalingServices
from gateway.signaling_endpoint import SignalingEndpoint
from gateway.token_store import TokenStore
from gateway.worker_registry import WorkerRegistry
from shared.agent import AgentDefinition
from shared.ids import new_worker_id
from shared.io.agent_files import load_agents
from shared.io.broker import BROKER_FAILURES, check_broker, connect, connect_blocking
from shared.io.build import own_version
from shared.io.heartbeat import Heartbeat
from shared.io.logs import get_logger, name_process
from shared.io.probes import HttpServer, Readiness, serve_probes
from shared.io.service import run_service, settle_memory
from shared.io.tracing import open_tracer, tracing
from shared.worker_report import Wish, WorkerReport

log = get_logger()


async def serve(settings: GatewaySettings, stop: asyncio.Event, listener: socket.socket | None = None) -> None:
    """Run until `stop` is set, then drain. Raises `ConfigError`, `BrokerError`, or `AntiphonError` for a taken port.

    `listener` replaces the socket on the configured host and port.
    """
    agents = load_agents(settings.agents_dir)
    gateway_id = new_worker_id("gateway", platform.node())
    name_process(worker_id=gateway_id)
    async with (
        tracing(open_tracer(settings.otel_endpoint, "gateway", gateway_id)),
        aclosing(connect(settings.redis_url)) as data,
        aclosing(connect_blocking(settings.redis_url)) as blocking,
    ):
        await check_broker(data, settings.redis_url)
        access = Access(settings, agents, TokenStore(data))
        ice_servers = IceServers(settings)
        listener = listener or listen(settings.gateway_host, settings.gateway_port)
        registry = WorkerRegistry(data)
        link = MediaLink(gateway_id, data, blocking)
        placer = Placer(registry, PlacementStore(data), link, settings.zone, settings.gateway_retry_after_ms)
        directory = SessionDirectory(data, lambda: registry.settled)
        services = SignalingServices(
            rules=_rules(settings, gateway_id, agents, ice_servers),
            limits=Limits(settings.gateway_max_message_bytes, settings.gateway_max_sdp_bytes),
            access=access,
            admission=Admission(placer, settings),
            placer=placer,
            link=link,
            directory=directory,
            at_once=SessionLimits(data),
            send_timeout_s=settings.gateway_send_timeout_s,
        )
        signaling = SignalingEndpoint(services, settings.drain_timeout_s)
        heartbeat = Heartbeat(
            data, lambda: _report(settings, gateway_id, signaling, heartbeat.wish), on_wish=signaling.follow
        )
        not_ready = _readiness(signaling, registry, heartbeat)
        admin = AdminApi(access, Fleet(data), SessionList(data), directory, placer, link)
        routes = [*access_routes(access, ice_servers), *admin.routes]
        server = _http_server(settings, agents, routes, signaling, not_ready, listener)
        await registry.refresh()

        async with asyncio.TaskGroup() as tasks:
            parts = (registry.run(), link.run(), heartbeat.run(), signaling.run())
            running = [tasks.create_task(part) for part in parts]
            if settings.probe_port:
                scaling = scaling_route(registry, settings.gateway_warm_sessions)
                probes = serve_probes(settings.probe_host, settings.probe_port, not_ready, [scaling])
                running.append(tasks.create_task(probes))
            http = tasks.create_task(server.serve(sockets=[listener]))
            settle_memory()
            log.info(
                "gateway_ready",
                worker_id=gateway_id,
                version=own_version(),
                url=_url(listener),
                agents=sorted(agents),
            )
            await stop.wait()
            await signaling.drain()
            server.should_exit = True
            await http
            for task in running:
                task.cancel()
        await link.close()
        try:
            await heartbeat.withdraw()
        except BROKER_FAILURES as error:
            log.warning("heartbeat_not_withdrawn", error=str(error))


def _rules(
    settings: GatewaySettings, gateway_id: str, agents: Mapping[str, AgentDefinition], ice_servers: IceServers
) -> SignalingRules:
    return SignalingRules(
        gateway=gateway_id,
        agents=agents,
        listed_agents=[agent.id for agent in _listed(settings, agents)],
        ice_servers=ice_servers.of_client,
        max_candidates=settings.gateway_max_candidates,
        max_errors=settings.gateway_max_errors,
        offer_timeout_s=settings.gateway_offer_timeout_s,
        answer_timeout_s=settings.gateway_answer_timeout_s,
        retry_after_ms=settings.gateway_retry_after_ms,
    )


def _readiness(signaling: SignalingEndpoint, registry: WorkerRegistry, heartbeat: Heartbeat) -> Readiness:
    def not_ready() -> str | None:
        if signaling.draining:
            return "draining"
        return heartbeat.not_ready() if registry.fresh else "the broker does not answer"

    return not_ready


def _http_server(
    settings: GatewaySettings,
    agents: Mapping[str, AgentDefinition],
    api_routes: Sequence[Route],
    signaling: SignalingEndpoint,
    not_ready: Readiness,
    listener: socket.socket,
) -> HttpServer:
    if EVERYONE in settings.gateway_origins:
        log.warning("every_web_page_may_call", setting="ANTIPHON_GATEWAY_ORIGINS")
    total, per_address = settings.gateway_max_connections, settings.gateway_max_connections_per_address
    proxies = TrustedProxies(settings.gateway_trusted_proxies)
    origins = OriginPolicy(settings.gateway_origins, loopback_only=is_loopback(listener.getsockname()[0]))
    # Proxies can always open some more connections, so a newcomer behind them gets as far as the guard.
    entry = EntryRules(origins, proxies, ConnectionLimits(max(1, total * 95 // 100), per_address))
    listed = _listed(settings, agents)
    app = create_app(signaling, listed, api_routes, not_ready, entry, settings.gateway_origins)
    allow_open_files(total)
    bounds = HttpBounds(ConnectionLimits(total, per_address), proxies, settings.gateway_request_timeout_s)
    return http_server(app, bounds, settings.gateway_max_message_bytes)


def _listed(settings: GatewaySettings, agents: Mapping[str, AgentDefinition]) -> list[AgentDefinition]:
    """Agents in the order of the page: echo agents last, so that the default is a conversation."""
    listed = [agent for agent in agents.values() if agent.listed] if settings.gateway_list_agents else []
    return sorted(listed, key=lambda agent: (agent.mode == "echo", agent.id))


def _report(settings: GatewaySettings, gateway_id: str, signaling: SignalingEndpoint, wish: Wish) -> WorkerReport:
    return WorkerReport(
        worker_id=gateway_id,
        kind="gateway",
        state="draining" if signaling.draining or wish != "serving" else "serving",
        sessions=signaling.connections,
        capacity=settings.gateway_max_connections,
        zone=settings.zone,
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def main() -> int:
    return run_service("gateway", __doc__, GatewaySettings, serve)


if __name__ == "__main__":
    sys.exit(main())
