"""Stands in for a service of a one-machine deployment, and prints a line when it starts and when it stops.

`python -m tests.fakes.stand_in_service gateway|media|pipeline serves|refuses`
"""

import asyncio
import os
import signal
import sys
from typing import Literal, cast

from shared.ids import new_worker_id
from shared.io.broker import connect
from shared.io.heartbeat import Heartbeat
from shared.io.probes import serve_probes
from shared.io.service import EXIT_CONFIG
from shared.worker_report import WorkerReport


async def _serve(kind: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print(f"started as {os.getpid()}", flush=True)
    if kind == "gateway":
        host, port = os.environ["ANTIPHON_GATEWAY_HOST"], int(os.environ["ANTIPHON_GATEWAY_PORT"])
        work = asyncio.create_task(serve_probes(host, port, lambda: None))
    else:
        report = WorkerReport(
            worker_id=new_worker_id(kind, "stand-in"), kind=cast(Literal["media", "pipeline"], kind), capacity=1
        )
        work = asyncio.create_task(Heartbeat(connect(os.environ["ANTIPHON_REDIS_URL"]), lambda: report).run())
    await stop.wait()
    work.cancel()
    print("stopped", flush=True)


def main() -> int:
    kind, behaviour = sys.argv[1:]
    if behaviour == "refuses":
        print("pipeline_worker: my settings are wrong:\ncorrect them", flush=True)
        return EXIT_CONFIG
    asyncio.run(_serve(kind))
    return 0


if __name__ == "__main__":
    sys.exit(main())
