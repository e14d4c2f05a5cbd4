"""Every command in the documents for operators is run by a test, or fits what parses it, or says what it needs."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import typer

from deploy.cli import app
from tests.architecture.source_tree import ROOT, committed_texts
from tests.load.__main__ import parser

DOCUMENTS = ("README.md", "docs/deployment.md", "docs/evaluation.md", "docs/load.md", "docs/operations.md")
MARK = re.compile(r"\bneeds (a cluster|Docker)\b")
"""In the paragraph before the commands: no test of ours can run them everywhere."""

RUN_BY = {
    "antiphon eval": ("tests/callers/scenario/test_command.py", "evaluate("),
    "antiphon load burst": ("tests/integration/test_load.py", '"burst", "--callers"'),
    "antiphon load conversation": ("tests/integration/test_load.py", '"conversation", str(script), "--callers"'),
    "antiphon load join": ("tests/integration/test_load.py", '"join", address'),
    "antiphon load ramp": ("tests/integration/test_load.py", '"ramp", "--callers"'),
    "antiphon load steady": ("tests/integration/test_load.py", '"steady", "--callers"'),
    "deploy/k8s/secrets.sh": ("tests/deploy/kubernetes/test_references.py", "deploy/k8s/secrets.sh"),
    "docker compose -f deploy/compose.yaml up": ("tests/containers/compose.py", 'self._compose("up"'),
    "kubectl apply -k": ("tests/kubernetes/installation.py", '"apply", "--server-side", "-k"'),
    "kubectl kustomize": (
        "tests/deploy/kubernetes/manifests.py",
        '"kubectl", "kustomize", ROOT / "deploy/k8s/overlays"',
    ),
    "make image": ("tests/containers/compose.py", '"image", "ENGINE=podman"'),
    "make up": ("tests/deploy/test_cli.py", 'antiphon(tmp_path, "up"'),
    "sh deploy/compose/secrets.sh": ("tests/deploy/test_compose.py", '["sh", str(folder / "compose/secrets.sh")]'),
    "sh deploy/image/base-from-debian.sh": ("tests/containers/compose.py", '"sh", "deploy/image/base-from-debian.sh"'),
}
"""Beginnings of commands, and a test that runs them, with the words by which it does."""


class Documented(NamedTuple):
    document: str
    command: str
    is_marked: bool

    @property
    def words(self) -> list[str]:
        """Without the settings before it, and without a comment. Of `[--option VALUE ...]` the brackets go."""
        words = shlex.split(re.sub(r"[\[\]]|\.\.\.", " ", self.command), comments=True)
        return words[next(place for place, word in enumerate(words) if "=" not in word) :]


def documented() -> Iterator[Documented]:
    for document in DOCUMENTS:
        text = re.sub(r"```.*?```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL)
        for before, block in re.findall(r"((?:^\S.*\n)+)\n((?:^    .*\n)+)", text, re.MULTILINE):
            is_marked = MARK.search(before.replace("\n", " ")) is not None
            for line in re.sub(r"\\\n *", "", block).splitlines():
                for command in each(line.strip()):
                    yield Documented(document, command, is_marked)


def each(line: str) -> Iterator[str]:
    """The commands of a line: of a loop, one for each name."""
    if loop := re.fullmatch(r"for (\w+) in (.+?); do (.+); done", line):
        variable, names, body = loop.groups()
        yield from (body.replace(f"${variable}", name) for name in names.split())
    elif not line.startswith(("<", "git clone <")):  # HTML, and where the reader puts an address in
        yield from re.split(r" (?:&&|\|) ", line)


COMMANDS = list(documented())


def fits(words: list[str]) -> bool:
    """Whether what takes the command would accept it. Raises what the parser raises. False if it is unknown here."""
    match words:
        case ["make", target, *settings]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE), "no such target"
            assert [name for name in settings if f"$({name.split('=')[0]})" not in makefile] == []
        case ["antiphon", name, *arguments]:
            command: Any = typer.main.get_command(app)
            command.commands[name].make_context(name, arguments)
        case ["python", "-m", "tests.load", name, *arguments]:
            with contextlib.redirect_stdout(io.StringIO()) as shown, pytest.raises(SystemExit):
                parser().parse_args([name, "--help"])
            options = [word for word in arguments if word.startswith("--")]
            assert [option for option in options if f"{option} " not in shown.getvalue()] == []
        case ["kubectl", "apply" | "kustomize", *_, folder] if folder != "-":
            assert (ROOT / folder / "kustomization.yaml").exists()
        case _:
            return False
    return True


def runner(words: list[str]) -> tuple[str, str] | None:
    return next((by for start, by in RUN_BY.items() if f"{' '.join(words)} ".startswith(f"{start} ")), None)


@pytest.mark.parametrize("documented", COMMANDS, ids=lambda documented: f"{documented.document}: {documented.command}")
def test_a_documented_command_is_run_or_parsed_or_says_what_it_needs(documented: Documented) -> None:
    is_known = fits(documented.words) or runner(documented.words) is not None
    assert is_known or documented.is_marked, 'run it in a test (RUN_BY), or say what it "needs" before it'


@pytest.mark.parametrize("beginning", RUN_BY)
def test_what_is_said_to_run_a_documented_command_does(beginning: str) -> None:
    file, words = RUN_BY[beginning]
    assert words in (ROOT / file).read_text(encoding="utf-8")
    assert any(runner(each.words) == RUN_BY[beginning] for each in COMMANDS), "no document has it: delete the entry"


def test_targets_and_commands_that_a_sentence_names_exist() -> None:
    named = re.findall(r"`(make|antiphon) ([a-z0-9-]+)", " ".join(committed_documents()))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    antiphon: Any = typer.main.get_command(app)
    there = {("make", target) for target in re.findall(r"^([a-z0-9-]+):.*##", makefile, re.MULTILINE)}
    assert set(named) - there - {("antiphon", name) for name in antiphon.commands} == set()


def committed_documents() -> Iterator[str]:
    return (text for name, text in committed_texts().items() if name.suffix == ".md")
