"""The words of a text, and its language."""

import re


def primary_language(language: str) -> str:
    """Without country and script: "en" for "en-GB" and "en_GB"."""
    return language.replace("_", "-").partition("-")[0].casefold()


def words_of(text: str) -> list[str]:
    """The words in lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.replace("’", "'").casefold())


def same_words(one: str, other: str) -> bool:
    return words_of(one) == words_of(other)
