"""Documents describe what exists, and nothing that is specific to one machine."""

import re
from pathlib import Path

import pytest

from tests.architecture.source_tree import PACKAGES, ROOT, committed_texts

DOCUMENTS = [name for name in committed_texts() if name.suffix == ".md"]
WORDS = """
    session, placement, drain, uplink, downlink, packet, frame, ptime, jitter buffer, playout buffer, underrun,
    late frame, concealment, talkspurt, utterance, turn, endpointing, barge-in, backchannel, first audio, mouth to ear,
    epoch, inbox, heartbeat, DTX, DTX scheduler, decode plan, rate limiter, guard, fallback, transcript, hypothesis,
    sentence splitter, text normalization, word alignment, synthetic caller
"""
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()

# Written so that this file does not contain what it looks for.
PACKAGE_INDEXES = re.compile(r"pyp[i]\.or[g]|pythonhoste[d]\.or[g]|npmj[s]\.(?:com|org)|deb\.debia[n]\.org")
MACHINE_PATHS = re.compile(r"/{}/(main|shared)\b|/tmp/{}/|/{}/|/home/\w+/".format("work", "v", "root"))


@pytest.mark.parametrize("name", DOCUMENTS, ids=str)
def test_links_between_documents_lead_somewhere(name: Path) -> None:
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)[^)]*\)", committed_texts()[name]):
        if "://" not in target:
            assert (ROOT / name.parent / target).exists(), target


def headings(document: Path) -> set[str]:
    """As GitHub names them in links."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    plain = [
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    ]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("name", DOCUMENTS, ids=str)
def test_links_to_headings_lead_somewhere(name: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", committed_texts()[name]):
        if "://" not in target:
            assert heading in headings(ROOT / name.parent / target if target else ROOT / name), f"{target}#{heading}"


def test_tests_that_documents_name_exist() -> None:
    documented = "".join(committed_texts()[name] for name in DOCUMENTS)
    there = "".join(f"{name} {text}" for name, text in committed_texts().items() if name.suffix == ".py")
    assert {name for name in re.findall(r"`(?:tests/[\w/]+/)?(test_\w+)", documented) if name not in there} == set()


def test_the_architecture_has_a_paragraph_for_every_box() -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    for package in PACKAGES:
        assert re.search(rf"^#+ .*`{package}`", architecture, re.MULTILINE), package


@pytest.mark.parametrize("word", [word.strip() for word in WORDS.split(",")])
def test_the_glossary_defines_our_words(word: str) -> None:
    assert f"**{word}**" in GLOSSARY


@pytest.mark.parametrize("pattern", [PACKAGE_INDEXES, MACHINE_PATHS], ids=["package indexes", "machine paths"])
def test_no_file_names_what_only_one_machine_has(pattern: re.Pattern[str]) -> None:
    assert {str(name): found[0] for name, text in committed_texts().items() if (found := pattern.search(text))} == {}
