"""A tool that is a Python function of the operator's: `package.module:function`."""

import asyncio
import contextlib
import inspect
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from typing import Any

from pipeline_worker.tools.outcome import Outcome, ToolContext, ToolFailure
from shared.agent_tools import Tool
from shared.errors import ConfigError


class Threads:
    """Runs blocking functions off the event loop, a bounded number at once.

    The threads are daemons: a function that never returns occupies its place, but does not keep the process alive.
    """

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[[], Any]) -> Any:
        """Returns or raises what `work` does. Work that has begun continues after a cancellation, without a result."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        finished: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def tell(result: Any, error: BaseException | None) -> None:
            self._free.release()
            if not finished.done():
                finished.set_result((result, error))

        def target() -> None:
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(tell, result, error)

        threading.Thread(target=target, name="tool", daemon=True).start()
        result, error = await finished
        if error is not None:
            raise error
        return result


class FunctionTool:
    """Arguments are keywords; a parameter `context` gets the `ToolContext`. A plain function runs in a thread.

    Its result goes to the model: text unchanged, anything else as JSON, with dataclasses as objects and `str` of what
    JSON does not know. The text of a `ValueError` goes to the model too; other exceptions are only logged.
    """

    def __init__(self, tool: Tool, threads: Threads) -> None:
        """Imports it. Raises `ConfigError`."""
        assert tool.python is not None
        self._function = _load(tool.python)
        self._threads = threads
        self._wants_context = _check_signature(tool, self._function)
        self._is_async = inspect.iscoroutinefunction(self._function) or inspect.iscoroutinefunction(
            getattr(self._function, "__call__", None)  # noqa: B004 - asks whether it is async, not whether it exists
        )

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        extra = {"context": context} if self._wants_context else {}
        call = partial(self._function, **arguments, **extra)
        try:
            result = await call() if self._is_async else await self._threads.run(call)
        except ValueError as error:
            raise ToolFailure(str(error) or "the tool failed") from error
        except SystemExit as error:  # would end the process, and all its sessions
            raise RuntimeError("the tool tried to exit") from error
        if result is None:
            return Outcome("done")
        return Outcome(result if isinstance(result, str) else _as_json(result))


def _as_json(result: object) -> str:
    """Never fails, because the tool has already done its work."""
    try:
        return json.dumps(result, default=_plain, ensure_ascii=False)
    except Exception:  # noqa: BLE001 (keys that JSON lacks, cycles, an operator's `__str__` that raises)
        try:
            return str(result)
        except Exception:  # noqa: BLE001 (as above)
            return "done"


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)


def _load(place: str) -> Callable[..., Any]:
    module_name, _, name = place.partition(":")
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ConfigError(
            f"python: '{module_name}' cannot be imported: {type(error).__name__}: {error}: install it, or put its "
            "folder on PYTHONPATH"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"python: '{module_name}' has no function '{name}': correct the name")
    found: Callable[..., Any] = function
    return found


def _check_signature(tool: Tool, function: Callable[..., Any]) -> bool:
    """Whether the function takes the context. Raises `ConfigError` if it cannot take what the schema allows."""
    properties = tool.parameters.get("properties", {})
    try:
        takes = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise ConfigError(
            f"python: {tool.python} has no readable signature: wrap it in a function that has one"
        ) from error
    wants_context = "context" not in properties and any(parameter.name == "context" for parameter in takes)
    named = {p.name for p in takes if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    needed = {p.name for p in takes if p.name in named and p.default is p.empty} - (
        {"context"} if wants_context else set()
    )
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes) and (
        unknown := [name for name in properties if name not in named]
    ):
        raise ConfigError(f"python: {tool.python} takes no '{unknown[0]}': remove it from parameters.properties")
    if missing := sorted(needed - set(tool.parameters.get("required", []))):
        raise ConfigError(
            f"python: {tool.python} needs '{missing[0]}': add it to parameters.required, or give it a default"
        )
    return wants_context
