"""Phrases as an agent's author writes them, compiled for the recogniser (JSGF) and for text (regular expressions).

book a table [for {party_size}] [on {day}]      [...] may be left out, {name} stands for the values of a slot
(what | when) are you open                      (... | ...) is one of several
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from shared.errors import ConfigError


class Literal(NamedTuple):
    word: str


class Slot(NamedTuple):
    name: str


class Chain(NamedTuple):
    parts: "tuple[Phrase, ...]"


class Choice(NamedTuple):
    options: "tuple[Phrase, ...]"


class Maybe(NamedTuple):
    part: "Phrase"


Phrase = Literal | Slot | Chain | Choice | Maybe

_TOKEN = re.compile(r"\s*(?:(?P<word>[a-z][a-z'.-]*)|\{(?P<slot>[a-z][a-z0-9_]*)\}|(?P<mark>[][()|]))")


def parse(text: str) -> Phrase:
    """Raises `ConfigError` that quotes the phrase and the place where it stops making sense."""
    tokens = _tokens(text)
    phrase, rest = _choice(tokens, text)
    if rest:
        raise ConfigError(f"phrase '{text}': '{rest[0]}' has no beginning: remove it or open its bracket")
    return phrase


def _tokens(text: str) -> list[str]:
    tokens, at, lowered = [], 0, text.lower().rstrip()
    while at < len(lowered):
        found = _TOKEN.match(lowered, at)
        if not found:
            raise ConfigError(
                f"phrase '{text}': cannot read '{text[at:].strip()[:20]}': a phrase has words (numbers spelt out, no "
                "punctuation), [optional parts], (one | of several) and {slots}"
            )
        tokens.append(found[0].strip())
        at = found.end()
    return tokens


def _choice(tokens: list[str], text: str) -> tuple[Phrase, list[str]]:
    options = []
    while True:
        option, tokens = _chain(tokens, text)
        options.append(option)
        if not tokens or tokens[0] != "|":
            return (options[0] if len(options) == 1 else Choice(tuple(options))), tokens
        tokens = tokens[1:]


def _chain(tokens: list[str], text: str) -> tuple[Phrase, list[str]]:
    parts: list[Phrase] = []
    while tokens and tokens[0] not in ("|", ")", "]"):
        first, tokens = tokens[0], tokens[1:]
        if first in ("(", "["):
            inner, tokens = _choice(tokens, text)
            closing = ")" if first == "(" else "]"
            if not tokens or tokens[0] != closing:
                raise ConfigError(f"phrase '{text}': '{first}' is not closed: add '{closing}'")
            tokens = tokens[1:]
            parts.append(inner if first == "(" else Maybe(inner))
        elif first.startswith("{"):
            parts.append(Slot(first[1:-1]))
        else:
            parts.append(Literal(first))
    if not parts:
        raise ConfigError(f"phrase '{text}': nothing between two marks, or no phrase at all: write at least one word")
    return (parts[0] if len(parts) == 1 else Chain(tuple(parts))), tokens


def leaves(phrase: Phrase) -> Iterator[Literal | Slot]:
    """The words and slots of `phrase`, from left to right."""
    match phrase:
        case Literal() | Slot():
            yield phrase
        case Chain(parts) | Choice(parts):
            for part in parts:
                yield from leaves(part)
        case Maybe(part):
            yield from leaves(part)


def words(phrases: Sequence[Phrase]) -> set[str]:
    return {leaf.word for phrase in phrases for leaf in leaves(phrase) if isinstance(leaf, Literal)}


def slots(phrase: Phrase) -> set[str]:
    return {leaf.name for leaf in leaves(phrase) if isinstance(leaf, Slot)}


class Grammar(NamedTuple):
    """All that an agent expects to hear. Values of slots are phrases without slots."""

    phrases: tuple[Phrase, ...]
    slots: Mapping[str, tuple[Phrase, ...]]

    def words(self) -> set[str]:
        return words(self.phrases).union(*(words(values) for values in self.slots.values()))

    def jsgf(self, decoys: Sequence[str] = (), with_backchannels: bool = False) -> str:
        """The grammar in the Java Speech Grammar Format (W3C note, June 2000).

        With `decoys`, these words in any number and order are a sentence too: a place for what is none of the phrases.
        So is the rule `backchannel`, if there is to be one: who knows the dictionary adds it at the end.
        """
        rules = [f"<slot_{name}> = {_one_of(values)};" for name, values in self.slots.items()]
        rules.append(f"<phrase> = {_one_of(self.phrases)};")
        if decoys:
            rules.append(f"<decoy> = {' | '.join(decoys)};")
        said = ["<phrase>", *(["<decoy>+"] if decoys else []), *(["<backchannel>"] if with_backchannels else [])]
        rules.append(f"public <utterance> = {' | '.join(said)};")
        return "\n".join(["#JSGF V1.0;", "grammar agent;", *rules, ""])


def _one_of(phrases: Sequence[Phrase]) -> str:
    return " | ".join(_jsgf(phrase) for phrase in phrases)


def _jsgf(phrase: Phrase) -> str:
    match phrase:
        case Literal(word):
            return word
        case Slot(name):
            return f"<slot_{name}>"
        case Chain(parts):
            return " ".join(_jsgf(part) for part in parts)
        case Choice(options):
            return f"({_one_of(options)})"
        case Maybe(part):
            return f"[{_jsgf(part)}]"


def regex(phrase: Phrase, slot_values: Mapping[str, tuple[Phrase, ...]]) -> str:
    """`phrase` over words that are each followed by one space; each slot becomes a group: see `slot_of`."""
    numbers = count()

    def build(phrase: Phrase) -> str:
        match phrase:
            case Literal(word):
                return re.escape(word) + " "
            case Slot(name):
                return f"(?P<{name}__{next(numbers)}>{'|'.join(regex(value, {}) for value in slot_values[name])})"
            case Chain(parts):
                return "".join(build(part) for part in parts)
            case Choice(options):
                return f"(?:{'|'.join(build(option) for option in options)})"
            case Maybe(part):
                return f"(?:{build(part)})?"

    return build(phrase)


def slot_of(group: str) -> str:
    """The slot of a group that `regex` made. (A slot may stand in two alternatives; a group's name must be unique.)"""
    return group.rpartition("__")[0]
