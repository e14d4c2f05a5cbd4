"""What a finder of values finds, without the places."""

from collections.abc import Iterable
from typing import Any

from pipeline_worker.engines.scripted.values.sentence import Found, with_figures


def sure(found: Iterable[Found]) -> list[Any]:
    """The values that are no bare numbers, from left to right; of those in one place the longest."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: one.start - one.end):
        if one.sure and not any(one.start < other.end and other.start < one.end for other in kept):
            kept.append(one)
    return [one.value for one in sorted(kept, key=lambda one: one.start)]


def bare(found: Iterable[Found]) -> list[Any]:
    return [one.value for one in found if not one.sure]


def figures(text: str) -> str:
    """As the finders of days, times and numbers are given it."""
    return with_figures(text).lower()
