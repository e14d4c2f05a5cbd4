"""The HTTP routes of administration: workers and their drains, sessions and what is said in them."""

import re
from typing import Any

from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access import Access
from gateway.api_requests import NOT_CACHED, bearer, body, parsed
from gateway.core.session_record import SessionRecord
from gateway.fleet import Fleet, Worker
from gateway.media_link import MediaLink
from gateway.placer import Placer
from gateway.session_directory import KnownSession, SessionDirectory
from gateway.session_list import SessionList
from shared.errors import PeerError
from shared.events import CloseSession
from shared.io.heartbeat import wall_ms
from shared.io.logs import get_logger
from shared.worker_report import Wish

_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")

_actions = Counter("antiphon_gateway_operator_actions_total", "What operators asked for over the API", ["action"])

log = get_logger()


class _Drain(BaseModel):
    """The body of `POST /api/workers/{id}/drain`, which may be empty."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    move: bool = False


class _PageRequest(BaseModel):
    """The query of `GET /api/sessions`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(100, ge=1, le=500)
    after: str = Field("", pattern=r"^(\d{13}-[A-Za-z0-9_-]{1,64})?$")
    media_worker: str = Field("", alias="mediaWorker", pattern=r"^[A-Za-z0-9_-]{0,80}$")


class AdminApi:
    """Every request needs an API key with the scope `admin`, except in open mode on loopback: see `Access`."""

    def __init__(
        self,
        access: Access,
        fleet: Fleet,
        sessions: SessionList,
        directory: SessionDirectory,
        placer: Placer,
        link: MediaLink,
    ) -> None:
        self._access = access
        self._fleet = fleet
        self._sessions = sessions
        self._directory = directory
        self._placer = placer
        self._link = link

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/workers", self._list_workers),
            Route("/workers/{id}/drain", self._drain, methods=["POST"]),
            Route("/workers/{id}/drain", self._undo_drain, methods=["DELETE"]),
            Route("/sessions", self._list_sessions),
            Route("/sessions/{id}", self._show_session),
            Route("/sessions/{id}", self._end_session, methods=["DELETE"]),
            Route("/sessions/{id}/transcript", self._show_transcript),
            Route("/sessions/{id}/events", self._show_events),
        ]

    # Workers

    async def _list_workers(self, request: Request) -> Response:
        self._admit(request)
        now_ms = wall_ms()
        return _json({"workers": [_worker(worker, now_ms) for worker in await self._fleet.workers()]})

    async def _drain(self, request: Request) -> Response:
        operator = self._admit(request)
        wanted = parsed(_Drain, await body(request) or b"{}")
        return await self._wish(request, operator, "moving" if wanted.move else "draining")

    async def _undo_drain(self, request: Request) -> Response:
        return await self._wish(request, self._admit(request), "serving")

    async def _wish(self, request: Request, operator: str, wish: Wish) -> Response:
        worker_id = _id(request, "worker")
        await self._fleet.wish(worker_id, wish)
        _actions.labels(wish).inc()
        log.info("worker_wish", worker=worker_id, wish=wish, operator=operator)
        return _json({"id": worker_id, "wish": wish}, 202)

    # Sessions

    async def _list_sessions(self, request: Request) -> Response:
        self._admit(request)
        wanted = parsed(_PageRequest, dict(request.query_params))
        page = await self._sessions.page(wanted.limit, wanted.after, wanted.media_worker)
        now_ms = wall_ms()
        listed = [self._session(record, now_ms) for record in page.records]
        return _json({"sessions": listed, "total": page.total, "after": page.after or None})

    async def _show_session(self, request: Request) -> Response:
        self._admit(request)
        return _json(self._session((await self._find(request)).record, wall_ms()))

    async def _end_session(self, request: Request) -> Response:
        """Asks its media worker, which alone writes the session's record."""
        operator = self._admit(request)
        record = (await self._find(request)).record
        if not self._placer.is_alive(record.media_worker):
            message = "its media worker is lost: it ends within a minute, unless its client comes back"
            raise PeerError(message, code="media_worker_lost")
        self._link.send(record.media_worker, CloseSession(session=record.session, reason="ended_by_operator"))
        _actions.labels("end_session").inc()
        log.info("session_end_asked", session_id=record.session, operator=operator)
        return _json({"id": record.session}, 202)

    async def _show_transcript(self, request: Request) -> Response:
        """Also of a session that has ended, as long as its conversation is kept."""
        self._admit(request)
        transcript = await self._sessions.transcript(_id(request, "session"))
        if not transcript:
            await self._find(request)
        return _json({"id": request.path_params["id"], "transcript": transcript})

    async def _show_events(self, request: Request) -> Response:
        self._admit(request)
        events = [dict(stored.event) for stored in (await self._find(request)).events]
        return _json({"id": request.path_params["id"], "events": events})

    async def _find(self, request: Request) -> KnownSession:
        session = _id(request, "session")
        known = await self._directory.find(session)
        if known is None:
            raise _unknown("session", session)
        return known

    def _session(self, record: SessionRecord, now_ms: int) -> dict[str, Any]:
        return {
            "id": record.session,
            "agent": record.agent,
            "state": record.state if self._placer.is_alive(record.media_worker) else "media_lost",
            "ageS": max(0, now_ms - record.created_ms) // 1000,
            "maxDurationS": record.max_duration_s,
            "apiKey": record.api_key,
            "mediaWorker": record.media_worker,
            "pipelineWorker": record.pipeline_worker,
            "gateway": record.gateway,
            "epoch": record.epoch,
            "generation": record.generation,
            "answerMs": record.answer_ms,
            "lossPercent": record.loss_percent,
        }

    def _admit(self, request: Request) -> str:
        """Who asks. Raises as `Access.require_admin` does."""
        client = request.client.host if request.client else ""
        return self._access.require_admin(bearer(request), client, request.headers)


def _worker(worker: Worker, now_ms: int) -> dict[str, Any]:
    report = worker.report
    return {
        "id": report.worker_id,
        "kind": report.kind,
        "state": report.state,
        "wish": worker.wish,
        "sessions": report.sessions,
        "capacity": report.capacity,
        "lagMs": report.lag_ms,
        "pools": report.pool.split(",") if report.pool else [],
        "zone": report.zone,
        "version": report.version,
        "reportAgeMs": max(0, now_ms - report.reported_at_ms),
    }


def _id(request: Request, what: str) -> str:
    named = str(request.path_params["id"])
    if not _ID.fullmatch(named):
        raise _unknown(what, named)
    return named


def _unknown(what: str, named: str) -> PeerError:
    return PeerError(f"no {what} {named[:80]!a}", code=f"unknown_{what}")


def _json(content: object, status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, NOT_CACHED)
