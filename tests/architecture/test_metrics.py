"""docs/metrics.md lists exactly the metrics that exist."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import ROOT, source_modules

DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()
NAMES_IN_DOCUMENT = re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)
KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}


def metrics_made() -> Iterator[tuple[str, str, ast.Call]]:
    """(module, kind, call) of each metric that our code makes."""
    for module in source_modules():
        tree = ast.parse((ROOT / module).read_text())
        nodes = list(ast.walk(tree))
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"]
        kinds = {alias.name for node in imports for alias in node.names} & KINDS
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
                yield str(module), node.func.id, node


def name_of(call: ast.Call) -> str:
    assert call.args and isinstance(call.args[0], ast.Constant), "write the metric's name out, so that it can be found"
    return str(call.args[0].value)


METRICS = [pytest.param(kind, call, id=name_of(call)) for _, kind, call in metrics_made()]


@pytest.mark.parametrize(("kind", "call"), METRICS)
def test_it_is_documented_with_its_labels(kind: str, call: ast.Call) -> None:
    name = name_of(call)
    row = re.search(rf"^\| `{name}` \|(.*?)\|(.*)$", DOCUMENT, re.MULTILINE)
    assert row is not None, f"docs/metrics.md has no row for {name}"
    labels = ast.literal_eval(call.args[2]) if len(call.args) > 2 else []
    assert [label for label in labels if f"`{label}`" not in row[1]] == []
    assert row[2].strip().startswith(f"{kind.lower()}: ") == (kind != "Counter")


@pytest.mark.parametrize(("kind", "call"), METRICS)
def test_its_name_has_our_prefix_and_its_unit(kind: str, call: ast.Call) -> None:
    name = name_of(call)
    assert name.startswith("antiphon_")
    assert name.endswith("_total") == (kind == "Counter")
    assert name.endswith(("_seconds", "_ratio", "_bytes")) or kind != "Histogram"


def test_the_document_names_no_metric_that_is_gone_and_none_twice() -> None:
    documented = [name for name in NAMES_IN_DOCUMENT if name.startswith("antiphon_")]
    assert sorted(documented) == sorted(name_of(call) for _, _, call in metrics_made())
