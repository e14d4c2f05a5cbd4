"""What is wrong with a field of a file, in words with a cure."""

import datetime
from collections.abc import Mapping


def cure_of(problem: Mapping[str, object]) -> str:
    """`problem` is one of a pydantic `ValidationError`."""
    found = problem.get("input")
    match problem["type"]:
        case "extra_forbidden":
            return "no such field: remove it or correct its spelling"
        case "missing":
            return "missing: add it"
        case "string_pattern_mismatch":
            context = problem.get("ctx")
            pattern = context.get("pattern") if isinstance(context, dict) else None
            return f"{found!r} cannot stand here: write it so that it matches {pattern}"
        case "model_type" | "dict_type":
            return f"a mapping is wanted here, not {found!r}: indent its fields below it"
        case "int_parsing" | "int_type" | "float_parsing" | "float_type":
            return f"a number is wanted here, not {found!r}: write it without quotes or units"
        case "string_type" if isinstance(found, bool):
            # YAML 1.1, which PyYAML reads: https://yaml.org/type/bool.html
            return "YAML reads yes, no, on, off, true and false as truth values, not as words: put the word in quotes"
        case "string_type" if isinstance(found, int | float | datetime.date):
            return f"text is wanted here, and YAML reads {found} as something else: put it in quotes"
        case "value_error":
            return str(problem["msg"]).removeprefix("Value error, ")
        case _:
            return f"{problem['msg']} (found {found!r})"
