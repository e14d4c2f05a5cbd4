"""What the target's processes use while the callers call, where it can be read."""

from callers.load.results import ServerLoad


class ServerWatch:
    """`begin` and `load` give averages; `now` is of the last second. All None if nothing can be read."""

    def begin(self) -> None:
        pass

    async def load(self) -> ServerLoad | None:
        return None

    async def now(self) -> ServerLoad | None:
        return None
