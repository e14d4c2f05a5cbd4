"""The constants that docs/latency-budget.md cites have the values that it gives."""

import importlib
import inspect
import re

import pytest
from pydantic import BaseModel

from tests.architecture.source_tree import ROOT

DOCUMENT = (ROOT / "docs" / "latency-budget.md").read_text()
CITED = sorted(set(re.findall(r"`((?:shared|media_worker|pipeline_worker)\.[\w.]+)` = ([\d.]*\d)", DOCUMENT)))


def value_of(path: str) -> object:
    """A module's constant, the default of a settings' field, or of an argument of a class."""
    owner, name = path.rsplit(".", 1)
    try:
        return getattr(importlib.import_module(owner), name)
    except ModuleNotFoundError:
        module, class_name = owner.rsplit(".", 1)
        cls = getattr(importlib.import_module(module), class_name)
    if issubclass(cls, BaseModel):
        return cls.model_fields[name].default
    return inspect.signature(cls).parameters[name].default


@pytest.mark.parametrize(("path", "figure"), CITED)
def test_a_cited_constant_is_what_the_budget_says(path: str, figure: str) -> None:
    assert value_of(path) == float(figure)


def test_constants_are_cited() -> None:
    assert len(CITED) >= 10
