"""Validation by JSON Schema on the event loop: its cost is bounded, whatever a model writes.

`jsonschema` itself uses backtracking regular expressions, compares items with each other, and tries every branch of a
recursive schema. Here patterns run in Rust's `regex`, whose time is linear in the text, items are hashed, and a
validation has a limited number of steps.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema
import referencing
from pydantic_core import SchemaError, SchemaValidator, core_schema

from pipeline_worker.tools.outcome import ToolFailure
from shared.errors import ConfigError

MAX_STEPS = 6_000
"""Steps are keywords that are applied to a value, and their list items: about 20 ms."""
_PATTERN_CHARACTERS = 2_000
_SHOWN_CHARACTERS = 200

_Keyword = Callable[[Any, Any, Any, Any], Iterable[jsonschema.ValidationError] | None]


class BoundedValidator:
    """A validator of one schema. `format` is not checked, as the specification has it by default."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """The schema must have passed `check_schema`."""
        own: dict[str, _Keyword] = {
            "additionalProperties": self._additional_properties,
            "pattern": self._pattern,
            "patternProperties": self._pattern_properties,
            "uniqueItems": self._unique_items,
        }
        standard = jsonschema.Draft202012Validator
        counted = {name: self._counted(keyword) for name, keyword in {**standard.VALIDATORS, **own}.items()}
        kind = jsonschema.validators.extend(standard, counted)  # type: ignore[no-untyped-call]
        self._validator = kind(schema, registry=referencing.Registry())
        self._steps_left = 0

    def problems(self, value: Any) -> Iterator[jsonschema.ValidationError]:
        """Raises `ToolFailure` if `value` takes too many steps."""
        self._steps_left = MAX_STEPS
        try:
            yield from self._validator.iter_errors(value)
        except RecursionError as error:
            raise ToolFailure("the arguments cannot be checked: they are nested too deeply") from error

    def _counted(self, keyword: _Keyword) -> _Keyword:
        def check(validator: Any, rule: Any, value: Any, schema: Any) -> Iterable[jsonschema.ValidationError] | None:
            self._spend(1 + (len(rule) if isinstance(rule, list | dict) else 0))
            return keyword(validator, rule, value, schema)

        return check

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise ToolFailure("the arguments take too long to check: send fewer or simpler values")

    def _pattern(self, validator: Any, rule: Any, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
        if isinstance(value, str) and not linear_pattern(rule).isinstance_python(value):
            yield jsonschema.ValidationError(f"{value!r} does not match {rule!r}")

    def _pattern_properties(
        self, validator: Any, rule: Any, value: Any, schema: Any
    ) -> Iterator[jsonschema.ValidationError]:
        if isinstance(value, dict):
            self._spend(len(rule) * len(value))
            for pattern, subschema in rule.items():
                for name in filter(linear_pattern(pattern).isinstance_python, value):
                    yield from validator.descend(value[name], subschema, path=name, schema_path=pattern)

    def _additional_properties(
        self, validator: Any, rule: Any, value: Any, schema: Any
    ) -> Iterator[jsonschema.ValidationError]:
        if not isinstance(value, dict):
            return
        patterns = [linear_pattern(pattern) for pattern in schema.get("patternProperties", {})]
        self._spend((1 + len(patterns)) * len(value))
        for name in value:
            if name in schema.get("properties", {}) or any(pattern.isinstance_python(name) for pattern in patterns):
                continue
            if rule is False:
                yield jsonschema.ValidationError(f"{name!r} was unexpected: additional properties are not allowed")
            else:
                yield from validator.descend(value[name], rule, path=name)

    def _unique_items(self, validator: Any, rule: Any, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
        if rule and isinstance(value, list) and len({_hashable(item) for item in value}) < len(value):
            yield jsonschema.ValidationError(f"{value!r} has non-unique elements")


def check_schema(schema: Any) -> None:
    """Raises `ConfigError` for what is no JSON Schema 2020-12, or cannot be validated within bounds."""
    patterns = jsonschema.FormatChecker(())

    @patterns.checks("regex", raises=SchemaError)
    def compiles(pattern: object) -> bool:
        return not isinstance(pattern, str) or linear_pattern(pattern) is not None

    try:
        jsonschema.Draft202012Validator.check_schema(schema, format_checker=patterns)
    except jsonschema.SchemaError as error:
        place = ".".join(map(str, error.path)) + ": " if error.path else ""
        if isinstance(error.cause, SchemaError):
            reason = str(error.cause).strip().rpartition("\n")[2].strip().removeprefix("error: ").rstrip(".")
            raise ConfigError(
                f"{place}the pattern '{str(error.instance)[:_SHOWN_CHARACTERS]}' cannot be used: {reason}: "
                "correct it by the syntax of Rust's regex"
            ) from error
        raise ConfigError(f"{place}{error.message}: correct it by JSON Schema 2020-12") from error


@cache  # of the patterns in agent files, compiled at start
def linear_pattern(pattern: str) -> SchemaValidator:
    """Whether it is found somewhere in a text: `isinstance_python`. Raises pydantic-core's `SchemaError`."""
    if len(pattern) > _PATTERN_CHARACTERS:
        raise SchemaError(f"it is longer than {_PATTERN_CHARACTERS} characters")
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


def _hashable(value: Any) -> Any:
    """Equal for what JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    match value:
        case dict():
            return dict, frozenset((name, _hashable(item)) for name, item in value.items())
        case list():
            return list, tuple(map(_hashable, value))
        case bool():
            return bool, value
        case _:
            return value
