"""The browser's client as its users get it: packed, installed into a React app, built by Vite."""

import os
import re
import shutil
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = _ROOT / "client" / "examples"
REACT_APP = EXAMPLES / "react"
_TSC = _ROOT / "client" / "node_modules" / ".bin" / "tsc"
_TIMEOUT_S = 60.0


def run(*command: str | Path, folder: Path, given: str = "", **environment: str) -> str:
    """What it prints."""
    assert shutil.which("node") and (REACT_APP / "node_modules").exists(), "`make test` installs Node and its packages"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        input=given,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(folder: Path) -> None:
    """Makes `folder` the React example with the packed client in its `node_modules`."""
    run("npm", "pack", "--silent", "--pack-destination", folder, folder=_ROOT / "client")
    (tarball,) = folder.glob("antiphon-client-*.tgz")
    run("npm", "install", "--no-save", "--offline", "--no-audit", "--no-fund", tarball, folder=REACT_APP)
    shutil.copytree(REACT_APP, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "*.tgz"))
    (folder / "node_modules").symlink_to(REACT_APP / "node_modules")


def build(folder: Path, destination: Path, mode: str, **environment: str) -> None:
    """All pages of the folder. In `mode` `development`, React mounts each component twice in `<StrictMode>`."""
    pages = sorted(page.name for page in folder.glob("*.html"))
    (folder / "test.config.js").write_text(
        "import app from './vite.config.js';\n"
        f"export default {{ ...app, base: './', build: {{ rollupOptions: {{ input: {pages} }} }} }};\n",
        encoding="utf-8",
    )
    vite = ("npx", "vite", "build", "--config", "test.config.js", "--mode", mode, "--outDir", destination)
    run(*vite, folder=folder, NODE_ENV=mode, **environment)


def check_types(folder: Path, *options: str) -> None:
    run(_TSC, *options, folder=folder)


def documented(heading: str) -> list[str]:
    """The blocks of code under a heading of docs/client.md."""
    text = (_ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    _, _, section = text.partition(f"\n### {heading}\n")
    section = re.split(r"^#{2,3} ", section, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```\w+\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)


def documented_policy() -> str:
    """The content security policy of docs/client.md."""
    text = (_ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    (policy,) = re.findall(r"^Content-Security-Policy: (.*)$", text, flags=re.MULTILINE)
    return str(policy)
