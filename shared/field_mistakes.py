"""Explains the validation errors of settings and files: which field is wrong, why, and what to do about it."""

import datetime
from collections.abc import Iterator, Mapping

from pydantic import ValidationError


def field_mistakes(error: ValidationError, root: str = "") -> Iterator[tuple[str, str]]:
    """Each mistake as a place, such as `tools[2].name`, and an explanation. Items of lists count from one.

    `root` is the place of what was validated, if it is part of something larger.
    """
    for problem in error.errors():
        place = root
        for part in problem["loc"]:
            place += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if place else part
        yield place, cure_of(problem)


def cure_of(problem: Mapping[str, object]) -> str:
    """`problem` is one of the errors of a pydantic `ValidationError`."""
    found = problem.get("input")
    match problem["type"]:
        case "extra_forbidden":
            return "no such field: remove it or correct its spelling"
        case "missing":
            return "missing: add it"
        case "string_pattern_mismatch":
            context = problem.get("ctx")
            pattern = context.get("pattern") if isinstance(context, dict) else None
            return f"{found!r} is not allowed: it must match {pattern}"
        case "model_type" | "dict_type":
            return f"expected a mapping, found {found!r}: indent its fields below it"
        case "int_parsing" | "int_type" | "float_parsing" | "float_type":
            return f"expected a number, found {found!r}: write it without quotes or units"
        case "string_type" if isinstance(found, bool):
            # YAML 1.1, which PyYAML reads: https://yaml.org/type/bool.html
            return "YAML reads yes, no, on, off, true and false as booleans: put the word in quotes"
        case "string_type" if isinstance(found, int | float | datetime.date):
            return f"expected text, and YAML does not read {found} as text: put it in quotes"
        case "value_error":
            return str(problem["msg"]).removeprefix("Value error, ")
        case _:
            return f"{problem['msg']} (found {found!r})"
