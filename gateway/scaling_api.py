"""`GET /scaling` on the probe port: what an autoscaler asks for. Operators read about it in docs/admin.md."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.core.scaling import demand
from gateway.worker_registry import WorkerRegistry


def scaling_route(registry: WorkerRegistry, warm_sessions: int) -> Route:
    """503 while the reports are not known, never a number: an autoscaler keeps what it has while it cannot read one."""

    async def scaling(request: Request) -> Response:
        if not (registry.fresh and registry.settled):  # workers may not have reported yet
            return _unknown("registry_stale", "the broker does not answer, or has only just begun to")
        if not registry.media_workers and not registry.pipeline_workers:
            return _unknown("no_workers", "no worker has reported")
        pool, zone = request.query_params.get("pool"), request.query_params.get("zone")
        media = [report for report in registry.media_workers if zone in (None, report.zone)]
        pipeline = [report for report in registry.pipeline_workers if zone in (None, report.zone)]
        if pool is not None:
            pipeline = [report for report in pipeline if report.serves(pool)]
        return JSONResponse(
            {
                "media": demand(media, warm_sessions)._asdict(),
                "pipeline": demand(pipeline, warm_sessions)._asdict(),
            }
        )

    return Route("/scaling", scaling)


def _unknown(code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message}, status_code=503)
