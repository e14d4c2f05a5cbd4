"""The arguments that a model writes for a tool: JSON text that must fit the tool's schema."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from math import isfinite
from typing import Any

from pipeline_worker.tools.outcome import ToolFailure
from shared.errors import ConfigError

MAX_CHARACTERS = 32_000
_MAX_VALUES = 1_000
_MAX_DEPTH = 32
_MAX_DIGITS = 100
_MAX_PROBLEMS = 3
_PROBLEM_CHARACTERS = 200


class ArgumentsSchema:
    """JSON Schema 2020-12. References must point into the schema itself: nothing is fetched."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises `ConfigError` with the place in the schema and the cure."""
        import referencing.jsonschema

        from pipeline_worker.tools.bounded_validator import BoundedValidator, check_schema  # 0.2 s, only with tools

        schema = {key: value for key, value in schema.items() if key != "$schema"}
        check_schema(schema)
        if schema.get("type") != "object":
            raise ConfigError("arguments are an object: add 'type: object' and list them under 'properties'")
        if any(isinstance(part.get("$schema"), str) for part in _mappings(schema)):
            raise ConfigError("'$schema' is allowed at the top only: remove the others")
        if all(
            any(key in part for part in _mappings(schema)) for key in ("unevaluatedProperties", "patternProperties")
        ):
            raise ConfigError(
                "patternProperties together with unevaluatedProperties is not supported: use additionalProperties"
            )
        resource: referencing.Resource[Any] = referencing.Resource.from_contents(
            schema, default_specification=referencing.jsonschema.DRAFT202012
        )
        resolver = referencing.Registry().with_resource("", resource).resolver()
        for reference in _references(schema):
            try:
                check_schema(resolver.lookup(reference).contents)  # may be where no keyword leads
            except referencing.exceptions.Unresolvable as error:
                raise ConfigError(
                    f"$ref '{reference}' cannot be resolved: point it into this schema (#/$defs/...)"
                ) from error
        self._validator = BoundedValidator(schema)

    def read(self, text: str) -> dict[str, Any]:
        """Raises `ToolFailure`, which says what is wrong. Empty text means no arguments, as some models do.

        Takes at most some 20 ms.
        """
        if len(text) > MAX_CHARACTERS:
            raise ToolFailure(f"the arguments are longer than {MAX_CHARACTERS} characters")
        try:
            arguments = json.loads(
                text or "{}", parse_constant=_refuse_constant, parse_int=_integer, parse_float=_finite_float
            )
            json.dumps(arguments, ensure_ascii=False).encode()  # half a surrogate pair cannot be sent
        except (ValueError, RecursionError) as error:
            raise ToolFailure(f"the arguments are not JSON: {str(error)[:_PROBLEM_CHARACTERS]}") from error
        if not isinstance(arguments, dict):
            raise ToolFailure("the arguments are not a JSON object")
        if _count(arguments, _MAX_DEPTH) > _MAX_VALUES:
            raise ToolFailure(f"the arguments are more than {_MAX_VALUES} values")
        problems = [
            f"{_place(error.path)}{error.message[:_PROBLEM_CHARACTERS]}"
            for error in islice(self._validator.problems(arguments), _MAX_PROBLEMS)
        ]
        if problems:
            raise ToolFailure("the arguments do not fit: " + "; ".join(problems))
        return arguments


def _place(path: Iterable[str | int]) -> str:
    place = ".".join(map(str, path))
    return place[:_PROBLEM_CHARACTERS] + ": " if place else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number has more than {_MAX_DIGITS} digits")
    return int(digits)


def _finite_float(text: str) -> float:
    if not isfinite(number := float(text)):
        raise ValueError(f"{text[:_MAX_DIGITS]} is too large a number")
    return number


def _count(value: Any, depth_left: int) -> int:
    """The values in `value`, itself included."""
    if not isinstance(value, dict | list):
        return 1
    if not depth_left:
        raise ToolFailure(f"the arguments are nested more than {_MAX_DEPTH} deep")
    return 1 + sum(_count(item, depth_left - 1) for item in (value.values() if isinstance(value, dict) else value))


def _references(schema: Any) -> Iterator[str]:
    for mapping in _mappings(schema):
        for key in ("$ref", "$dynamicRef"):
            if isinstance(reference := mapping.get(key), str):
                yield reference


def _mappings(schema: Any) -> Iterator[dict[str, Any]]:
    """All objects in the JSON value `schema`."""
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _mappings(part)
