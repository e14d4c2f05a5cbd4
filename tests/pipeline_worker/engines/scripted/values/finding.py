"""The values that a finder finds, without their places."""

from collections.abc import Iterable
from typing import Any

from pipeline_worker.engines.scripted.values.sentence import Found, with_figures


def sure(found: Iterable[Found]) -> list[Any]:
    """The values that are not bare numbers, from left to right; the longest of those in one place."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: one.start - one.end):
        if one.sure and not any(one.start < other.end and other.start < one.end for other in kept):
            kept.append(one)
    return [one.value for one in sorted(kept, key=lambda one: one.start)]


def bare(found: Iterable[Found]) -> list[Any]:
    return [one.value for one in found if not one.sure]


def figures(text: str) -> str:
    """The sentence as the finders of days, times and numbers get it."""
    return with_figures(text).lower()
