"""Puts a pydantic `ValidationError` into words: with advice for the author of a file, in one line for a peer."""

import datetime
from collections.abc import Collection, Mapping

from pydantic import ValidationError


def explain(error: ValidationError, place: str, noun: str = "field") -> str:
    """A line for each problem: `place` and field (such as `desk.yaml: ` and `idle.prompts`), then the advice."""
    return "\n".join(
        f"{(place + _dotted(problem['loc'])).rstrip('.: ')}: {advice(problem, noun)}" for problem in error.errors()
    )


def first_problem(error: ValidationError, ignore: Collection[str] = ()) -> str:
    """Field and problem without the value, which a peer may have made long. `ignore`: parts that are not fields."""
    problem = error.errors(include_url=False, include_input=False)[0]
    message = problem["msg"]
    return f"{_dotted(problem['loc'], ignore)}: {message[0].lower()}{message[1:]}"


def advice(problem: Mapping[str, object], noun: str = "field") -> str:
    """What is wrong and what to do. `problem` is one of `ValidationError.errors()`."""
    found = problem.get("input")
    match problem["type"]:
        case "extra_forbidden":
            return f"no such {noun}: remove it or correct its spelling"
        case "missing":
            return "missing: add it"
        case "string_pattern_mismatch":
            context = problem.get("ctx")
            pattern = context.get("pattern") if isinstance(context, dict) else None
            return f"{found!r} is not allowed here: write it so that it matches {pattern}"
        case "model_type" | "dict_type":
            return f"expected a mapping, not {found!r}: indent its fields below it"
        case "int_parsing" | "int_type" | "float_parsing" | "float_type":
            return f"expected a number, not {found!r}: write it without quotes or units"
        case "string_type" if isinstance(found, bool):
            # YAML 1.1, which PyYAML reads: https://yaml.org/type/bool.html
            return "YAML reads yes, no, on, off, true and false as truth values, not as words: put the word in quotes"
        case "string_type" if isinstance(found, int | float | datetime.date):
            return f"expected text, and YAML does not read {found} as text: put it in quotes"
        case "value_error":
            return str(problem["msg"]).removeprefix("Value error, ")
        case _:
            return f"{problem['msg']} (found {found!r})"


def _dotted(location: tuple[int | str, ...], ignore: Collection[str] = ()) -> str:
    return ".".join(str(part) for part in location if part not in ignore)
