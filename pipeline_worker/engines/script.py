"""The scripted dialogue as an agent file writes it down: what callers may say and what is answered."""

from collections.abc import Sequence
from functools import cached_property
from string import Formatter

from pydantic import Field, field_validator, model_validator

from pipeline_worker.engines import grammar
from pipeline_worker.engines.grammar import Grammar, Phrase
from pipeline_worker.engines.options import Options
from shared.errors import ConfigError


def _parse_all(phrases: Sequence[str]) -> tuple[Phrase, ...]:
    try:
        return tuple(grammar.parse(phrase) for phrase in phrases)
    except ConfigError as error:
        raise ValueError(error.message) from error


class SlotScript(Options):
    """Something an intent must know. `values` maps how the agent says a value to how callers say it."""

    ask: str = Field(min_length=1, max_length=300)
    values: dict[str, str] = Field(min_length=1)
    phrases: list[str] = Field(min_length=1, description="how callers name a value when asked, or to correct it")

    @field_validator("values")
    @classmethod
    def _values_are_plain(cls, values: dict[str, str]) -> dict[str, str]:
        for phrase in _parse_all(list(values.values())):
            if grammar.slots(phrase):
                raise ValueError("a value cannot hold a slot: write its words")
        return values

    @cached_property
    def parsed_values(self) -> dict[str, Phrase]:
        return dict(zip(self.values, _parse_all(list(self.values.values())), strict=True))


class Intent(Options):
    """Something callers want. With `needs`, its reply waits until those slots are known."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    phrases: list[str] = Field(min_length=1)
    reply: str | None = Field(None, min_length=1, max_length=1000)
    needs: list[str] = []
    repeats: bool = Field(False, description="the last reply is said again")
    forgets: bool = Field(False, description="what was collected so far is dropped")
    ends_call: bool = Field(False, description="the session ends after the reply was heard")

    @model_validator(mode="after")
    def _has_an_answer(self) -> "Intent":
        if (self.reply is None) != self.repeats:
            raise ValueError("an intent has either 'reply' or 'repeats: true': add or remove one")
        return self


class Script(Options):
    """`fallback` holds what is said when nothing was understood: once, twice in a row, ..."""

    slots: dict[str, SlotScript] = {}
    intents: list[Intent] = Field(min_length=1)
    fallback: list[str] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_fit_together(self) -> "Script":
        names = [intent.name for intent in self.intents]
        if len(set(names)) != len(names):
            raise ValueError("two intents share a name: give each its own")
        for name, slot in self.slots.items():
            for text, phrase in zip(slot.phrases, _parse_all(slot.phrases), strict=True):
                if [leaf for leaf in grammar.leaves(phrase) if isinstance(leaf, grammar.Slot)] != [grammar.Slot(name)]:
                    raise ValueError(f"slot '{name}': phrase '{text}': must hold {{{name}}} once, and no other slot")
        for intent in self.intents:
            self._check(intent)
        return self

    def _check(self, intent: Intent) -> None:
        for text, phrase in zip(intent.phrases, _parse_all(intent.phrases), strict=True):
            used = [leaf.name for leaf in grammar.leaves(phrase) if isinstance(leaf, grammar.Slot)]
            if unknown := set(used) - self.slots.keys():
                raise ValueError(
                    f"intent '{intent.name}': phrase '{text}': no slot {sorted(unknown)}: add it to 'slots'"
                )
        if unknown := set(intent.needs) - self.slots.keys():
            raise ValueError(f"intent '{intent.name}': needs: no slot {sorted(unknown)}: add it to 'slots'")
        fields = {field for _, field, _, _ in Formatter().parse(intent.reply or "") if field is not None}
        if unknown := fields - set(intent.needs):
            raise ValueError(f"intent '{intent.name}': reply uses {sorted(unknown)}: list them under 'needs'")

    @cached_property
    def slot_values(self) -> dict[str, tuple[Phrase, ...]]:
        return {name: tuple(slot.parsed_values.values()) for name, slot in self.slots.items()}

    @cached_property
    def intent_phrases(self) -> dict[str, tuple[Phrase, ...]]:
        return {intent.name: _parse_all(intent.phrases) for intent in self.intents}

    @cached_property
    def slot_phrases(self) -> dict[str, tuple[Phrase, ...]]:
        return {name: _parse_all(slot.phrases) for name, slot in self.slots.items()}

    def grammar(self) -> Grammar:
        """All that callers may say, for a recogniser that needs to know."""
        said = [*self.intent_phrases.values(), *self.slot_phrases.values()]
        return Grammar(tuple(phrase for phrases in said for phrase in phrases), self.slot_values)
