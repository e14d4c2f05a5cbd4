"""A tool that is a Python function of the operator's: `package.module:function`."""

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from typing import Any

from pipeline_worker.tools.outcome import MAX_RESULT_CHARACTERS, Outcome, ToolContext, ToolFailure
from pipeline_worker.tools.threads import LoopThread, Threads
from shared.agent_tools import Tool
from shared.errors import ConfigError


class FunctionTool:
    """Arguments are keywords; a parameter `context` gets the `ToolContext`. A plain function runs in a thread, an
    `async` one on the event loop of `coroutines`.

    Its result goes to the model: text unchanged, anything else as JSON, with dataclasses as objects and `str` of what
    JSON does not know. The text of a `ValueError` goes to the model too; other exceptions are only logged.
    """

    def __init__(self, tool: Tool, threads: Threads, coroutines: LoopThread) -> None:
        """Imports it. Raises `ConfigError`."""
        assert tool.python is not None
        self._function = _load(tool.python)
        self._threads = threads
        self._coroutines = coroutines
        self._wants_context = _check_signature(tool, self._function)
        self._is_async = inspect.iscoroutinefunction(self._function) or inspect.iscoroutinefunction(
            getattr(self._function, "__call__", None)  # noqa: B004 - asks whether it is async, not whether it exists
        )

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        extra = {"context": context} if self._wants_context else {}
        call = partial(self._function, **arguments, **extra)
        try:
            return Outcome(await self._run(call))
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, ValueError):
                raise ToolFailure(str(error)[:MAX_RESULT_CHARACTERS] or "the tool failed") from error
            raise
        except BaseException as error:  # such as `SystemExit`: would end the process, and all its sessions
            raise RuntimeError(f"the tool tried to exit by {type(error).__name__}") from error

    async def _run(self, call: Callable[[], Any]) -> str:
        """A long result is written down where it was made, too."""

        async def answer() -> str:
            return _told(await call())

        told: str = await (self._coroutines.run(answer) if self._is_async else self._threads.run(lambda: _told(call())))
        return told


def _told(result: object) -> str:
    """For the model."""
    if result is None:
        return "done"
    return (result if isinstance(result, str) else _as_json(result))[: MAX_RESULT_CHARACTERS + 1]


def _as_json(result: object) -> str:
    """The beginning of `result` as JSON. Never fails, because the tool has already done its work."""
    try:
        text = ""
        for piece in json.JSONEncoder(default=_plain, ensure_ascii=False).iterencode(result):
            text += piece
            if len(text) > MAX_RESULT_CHARACTERS:
                break
        return text
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
