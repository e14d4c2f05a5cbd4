import asyncio

from structlog.testing import capture_logs

from pipeline_worker.engines.network.warm_up import WarmUp
from shared.errors import EngineError
from tests.fakes.virtual_time import in_virtual_time


class Server:
    """Answers after a second; a connection is then warm."""

    def __init__(self) -> None:
        self.warm_up = WarmUp("acme")
        self.asked = 0

    async def ask(self) -> None:
        self.asked += 1
        await asyncio.sleep(1)
        self.warm_up.answered()


@in_virtual_time
async def test_one_connection_is_opened_at_a_time_and_none_while_one_is_warm() -> None:
    server = Server()
    for wait_s in (0, 0.5, 1, 30, 40, 70):
        server.warm_up.begin(server.ask)
        await asyncio.sleep(wait_s)
    assert server.asked == 2
    await server.warm_up.close()


@in_virtual_time
async def test_a_failure_or_a_hang_is_only_logged_and_retried_for_the_next_call() -> None:
    async def refuse() -> None:
        raise EngineError("no")

    async def hang() -> None:
        await asyncio.sleep(3600)

    warm_up = WarmUp("acme")
    with capture_logs() as logs:
        for request in (refuse, hang, refuse):
            warm_up.begin(request)
            await asyncio.sleep(10)
    assert [(line["event"], line["error"]) for line in logs] == [
        ("connection_not_warmed", "no"),
        ("connection_not_warmed", "no answer"),
        ("connection_not_warmed", "no"),
    ]
    await warm_up.close()


@in_virtual_time
async def test_closing_ends_it() -> None:
    server = Server()
    await server.warm_up.close()
    server.warm_up.begin(server.ask)
    await asyncio.sleep(0)
    await server.warm_up.close()
    await server.warm_up.close()
    assert asyncio.get_running_loop().time() == 0
