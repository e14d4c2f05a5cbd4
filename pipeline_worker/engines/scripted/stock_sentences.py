"""Sentences that belong to every script, in files of the folder `sentences`, one a line."""

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("sentences")


@cache
def stock_sentences(name: str) -> tuple[str, ...]:
    """`agree` and `decline`: answers to "shall I book it?". `out_of_scope`: what people say to any agent, and no
    agent's script is about; a caller's sentence that resembles one of these most asks for nothing that is known."""
    return tuple(_FOLDER.joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines())
