"""The tool of the agent `clerk`, and the loopback server that is its model and its recogniser.

`python -m tests.scenarios.bookings` serves where the agent file says, for calling it with `antiphon eval`.
"""

import asyncio
import contextlib
from typing import Any

from tests.fakes.openai_server import Manner, OpenAiServer

PORT = 8099
"""As it stands in `agents/clerk.yaml`."""

MANNER = Manner(
    transcripts=["a table for four on friday please"],
    tool_calls=[("book_table", '{"people": 4, "day": "friday"}')],
    reply="Your table is booked.",
)


def book(people: int, day: str) -> dict[str, Any]:
    """What `clerk` calls."""
    return {"table": 7, "people": people, "day": day}


async def _serve() -> None:
    server = OpenAiServer(MANNER)
    await server.start(PORT)
    await server.run()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
