"""The arguments that a model writes for a tool: JSON text that must fit the tool's schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline_worker.tools.outcome import ToolFailure
from shared.errors import ConfigError

MAX_CHARACTERS = 32_000
_MAX_PROBLEMS = 3
_PROBLEM_CHARACTERS = 200


class ArgumentsSchema:
    """JSON Schema 2020-12. References must point into the schema itself: nothing is fetched."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises `ConfigError` with the place in the schema and the cure."""
        import jsonschema  # takes 0.2 s, which only agents with tools need
        import referencing

        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise ConfigError(f"{_place(error.path)}{error.message}: correct it by JSON Schema 2020-12") from error
        if schema.get("type") != "object":
            raise ConfigError("arguments are an object: add 'type: object' and list them under 'properties'")
        resource: referencing.Resource[Any] = referencing.Resource.from_contents(
            dict(schema), default_specification=referencing.jsonschema.DRAFT202012
        )
        resolver = referencing.Registry().with_resource("", resource).resolver()
        for reference in _references(schema):
            try:
                resolver.lookup(reference)
            except referencing.exceptions.Unresolvable as error:
                raise ConfigError(
                    f"$ref '{reference}' cannot be resolved: point it into this schema (#/$defs/...)"
                ) from error
        self._validator = jsonschema.Draft202012Validator(schema, registry=referencing.Registry())

    def read(self, text: str) -> dict[str, Any]:
        """Raises `ToolFailure`, which says what is wrong. Empty text means no arguments, as some models do."""
        if len(text) > MAX_CHARACTERS:
            raise ToolFailure(f"the arguments are longer than {MAX_CHARACTERS} characters")
        try:
            arguments = json.loads(text or "{}", parse_constant=_refuse_constant)
            json.dumps(arguments, ensure_ascii=False).encode()  # half a surrogate pair cannot be sent
        except (ValueError, RecursionError) as error:
            raise ToolFailure(f"the arguments are not JSON: {str(error)[:_PROBLEM_CHARACTERS]}") from error
        if not isinstance(arguments, dict):
            raise ToolFailure("the arguments are not a JSON object")
        problems = [
            f"{_place(error.path)}{error.message[:_PROBLEM_CHARACTERS]}"
            for error, _ in zip(self._validator.iter_errors(arguments), range(_MAX_PROBLEMS), strict=False)
        ]
        if problems:
            raise ToolFailure("the arguments do not fit: " + "; ".join(problems))
        return arguments


def _place(path: Any) -> str:
    return ".".join(map(str, path)) + ": " if path else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _references(schema: Any) -> Iterator[str]:
    match schema:
        case dict():
            for key, value in schema.items():
                if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                    yield value
                else:
                    yield from _references(value)
        case list():
            for value in schema:
                yield from _references(value)
