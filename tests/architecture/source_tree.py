"""The tree as the architecture tests see it."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("shared", "gateway", "media_worker", "pipeline_worker", "callers", "deploy")


def source_modules() -> list[Path]:
    """Our Python modules that hold more than a docstring, relative to the root."""
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return sorted(file.relative_to(ROOT) for file in files if _holds_code(file))


def _holds_code(file: Path) -> bool:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return not all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


@cache
def committed_texts() -> dict[Path, str]:
    """Every text file that git tracks or would add, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    texts = {}
    for name in filter(None, names):
        try:
            texts[Path(name)] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    return texts
