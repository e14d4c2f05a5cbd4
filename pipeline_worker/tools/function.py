"""A tool that is a Python function of the operator's: `package.module:function`."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from typing import Any

from pipeline_worker.tools.outcome import Outcome, ToolContext, ToolFailure
from pipeline_worker.tools.threads import Threads
from shared.agent_tools import Tool
from shared.errors import ConfigError


class FunctionTool:
    """Arguments are keywords; a parameter `context` gets the `ToolContext`. A plain function runs in a thread.

    What it returns goes to the model: text as it is, anything else as JSON, in which dataclasses are objects and what
    JSON does not know is its `str`. The text of a `ValueError` goes there too; what else it raises is for the log only.
    """

    def __init__(self, tool: Tool, threads: Threads) -> None:
        """Imports it. Raises `ConfigError`."""
        assert tool.python is not None
        self._function = _load(tool.python)
        self._threads = threads
        self._wants_context = _check_signature(tool, self._function)
        self._is_async = inspect.iscoroutinefunction(self._function) or inspect.iscoroutinefunction(
            getattr(self._function, "__call__", None)  # noqa: B004 - whether that is async, not whether it is there
        )

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        extra = {"context": context} if self._wants_context else {}
        call = partial(self._function, **arguments, **extra)
        try:
            result = await call() if self._is_async else await self._threads.run(call)
        except ValueError as error:
            raise ToolFailure(str(error) or "the tool failed") from error
        except SystemExit as error:  # It would end the process, with everybody's calls.
            raise RuntimeError("the tool tried to exit") from error
        if result is None:
            return Outcome("done")
        return Outcome(result if isinstance(result, str) else _as_json(result))


def _as_json(result: object) -> str:
    """What the tool did is done, whatever it returns: that never makes it fail."""
    try:
        return json.dumps(result, default=_plain, ensure_ascii=False)
    except Exception:  # noqa: BLE001 (keys that JSON has not, circles, a `__str__` of the operator's that raises)
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
    """Whether it takes the context. Raises `ConfigError` if it cannot take the arguments that the schema allows."""
    properties = tool.parameters.get("properties", {})
    try:
        takes = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise ConfigError(
            f"python: {tool.python} does not tell its parameters: wrap it in a function that does"
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
