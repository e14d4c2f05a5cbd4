"""`python -m pipeline_worker`: hears, thinks and speaks for sessions that a media worker holds."""

import asyncio
import socket
import sys

from pipeline_worker.engines.catalog import Catalog
from pipeline_worker.helper_load import HelperLoad
from pipeline_worker.settings import PipelineSettings
from pipeline_worker.tools.toolbox import Toolboxes
from pipeline_worker.worker import PipelineWorker
from shared.errors import ConfigError
from shared.ids import new_worker_id
from shared.io.agent_files import load_agents
from shared.io.broker import check_broker, connect
from shared.io.logs import name_process
from shared.io.service import run_service, settle_memory
from shared.io.tracing import open_tracer, tracing


async def serve(settings: PipelineSettings, stop: asyncio.Event) -> None:
    """Loads the engines before the worker is announced, so that its first caller does not wait for a model."""
    if not settings.pools:
        raise ConfigError("ANTIPHON_PIPELINE_POOLS names no pool: set it to 'default' or unset it")
    agents = load_agents(settings.agents_dir)
    broker = connect(settings.redis_url)
    catalog = Catalog(agents, settings.pipeline_engine_timeout_s)
    tools = Toolboxes(agents)
    try:
        await check_broker(broker, settings.redis_url)
        await tools.start()
        await catalog.start()
        settle_memory()
        worker_id = new_worker_id("pipeline", socket.gethostname())
        name_process(worker_id=worker_id)
        async with tracing(open_tracer(settings.otel_endpoint, "pipeline-worker", worker_id)):
            helpers = HelperLoad(catalog.helper_pids)
            worker = PipelineWorker(worker_id, settings, agents, catalog.open, tools.open, broker, helpers.share)
            await worker.serve(stop)
    finally:
        await tools.close()
        await catalog.close()
        await broker.aclose()


if __name__ == "__main__":
    sys.exit(run_service("pipeline_worker", __doc__ or "", PipelineSettings, serve))
