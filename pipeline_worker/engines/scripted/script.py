"""The script of a dialogue in an agent file: what callers may ask for, and the replies."""

from functools import cache
from pathlib import Path
from string import Formatter
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pipeline_worker.engines.options import Options
from pipeline_worker.engines.scripted.slots import DateSlot, Slot, TimeSlot

YES, NO = "yes", "no"
"""Names of the answers to `confirm`."""
_STOCK = Path(__file__).with_name("sentences")


@cache
def stock_sentences(name: str) -> tuple[str, ...]:
    """Sentences for every script: `agree`, `decline` (answers to `confirm`) or `out_of_scope` (no agent's business)."""
    return tuple(_STOCK.joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines())


def _lines(value: Any) -> Any:
    """A list, or text with one item per line, which needs neither quotes nor dashes in YAML."""
    return [line.strip() for line in value.splitlines() if line.strip()] if isinstance(value, str) else value


Sentences = Annotated[tuple[str, ...], BeforeValidator(_lines)]


class Answer(Options):
    """A reply for certain values. Without `if`, for all."""

    if_: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict, alias="if", description="slot: value, or values"
    )
    say: str = Field(min_length=1, max_length=1000)

    @property
    def conditions(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(slot, (values,) if isinstance(values, str) else values) for slot, values in self.if_.items()]


class Intent(Options):
    """Something that callers ask for. The reply waits until the slots in `needs` are known."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    examples: Sentences = Field(min_length=1, max_length=200, description="what callers say who ask for it")
    reply: str | tuple[Answer, ...] | None = None
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = Field((), description="slots that the reply may use, and that are not asked for")
    confirm: str | None = Field(
        None, min_length=1, max_length=1000, description="asked when all is known, before the reply"
    )
    amends: str | None = Field(None, description="the intent whose values are to be changed")
    small_talk: bool = Field(False, description="gives way to whatever else is asked for in the same breath")
    repeats: bool = Field(False, description="the last reply is said again")
    forgets: bool = Field(False, description="what was collected so far is dropped")
    ends_call: bool = Field(False, description="the session ends after the reply was heard")

    @model_validator(mode="after")
    def _has_an_answer(self) -> "Intent":
        kinds = (self.reply is not None, self.repeats, self.amends is not None)
        if sum(kinds) != 1:
            raise ValueError("an intent has one of 'reply', 'repeats: true' and 'amends': add or remove one")
        if isinstance(self.reply, tuple) and (not self.reply or self.reply[-1].if_):
            raise ValueError("reply: the last answer has an 'if': add one without, for all other values")
        if self.confirm and not self.needs:
            raise ValueError("confirm: there is nothing to confirm without 'needs': add slots there, or remove it")
        return self

    @property
    def answers(self) -> tuple[Answer, ...]:
        if isinstance(self.reply, str):
            return (Answer(say=self.reply),)
        return self.reply or ()


class Script(Options):
    """`fallback`: replies when nothing was understood once, twice in a row, and so on."""

    slots: dict[str, Slot] = {}
    intents: tuple[Intent, ...] = Field(min_length=1)
    fallback: tuple[str, ...] = Field(min_length=1)
    timezone: str | None = Field(None, description="whose days count, such as Europe/Berlin; None: the worker's own")
    out_of_scope: Sentences = Field((), max_length=200, description="sentences that sound like an intent but are not")
    amend: str = Field("What would you like to change?", max_length=300, description="asked after a 'no' to 'confirm'")
    agree: Sentences = Field(
        stock_sentences("agree"), min_length=1, description="what callers say who agree to 'confirm'"
    )
    decline: Sentences = Field(stock_sentences("decline"), min_length=1)

    @model_validator(mode="after")
    def _names_fit_together(self) -> "Script":
        names = [YES, NO, *(intent.name for intent in self.intents)]
        if len(set(names)) != len(names):
            raise ValueError("two intents share a name, or one is named yes or no: give each a name of its own")
        for intent in self.intents:
            self._check(intent)
        return self

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None and name not in available_timezones():
            raise ValueError(f"no time zone '{name}': write one such as Europe/Berlin")
        return name

    @model_validator(mode="after")
    def _days_of_times_are_days(self) -> "Script":
        for name, slot in self.slots.items():
            if (
                isinstance(slot, TimeSlot)
                and slot.day is not None
                and not isinstance(self.slots.get(slot.day), DateSlot)
            ):
                raise ValueError(f"slot '{name}': day: no slot '{slot.day}' of type date: correct the name")
        return self

    def _check(self, intent: Intent) -> None:
        where = f"intent '{intent.name}'"
        for field, used in (("needs", intent.needs), ("uses", intent.uses)):
            if unknown := set(used) - self.slots.keys():
                raise ValueError(f"{where}: {field}: no slot {sorted(unknown)}: add it to 'slots'")
        if silent := [name for name in intent.needs if self.slots[name].ask is None]:
            raise ValueError(f"{where}: needs: slot '{silent[0]}' has no question: add 'ask' to it")
        if intent.amends and not any(other.name == intent.amends and other.needs for other in self.intents):
            raise ValueError(f"{where}: amends: no intent '{intent.amends}' with 'needs': correct the name")
        known = {*intent.needs, *intent.uses}
        for answer in intent.answers:
            if unknown := answer.if_.keys() - known:
                raise ValueError(f"{where}: if: {sorted(unknown)}: list it under 'needs' or 'uses'")
            for slot, values in answer.conditions:
                possible = self.slots[slot].keys()
                if possible is not None and (unknown := set(values) - possible):
                    choices = ", ".join(sorted(possible))
                    raise ValueError(
                        f"{where}: if: slot '{slot}' has no value {sorted(unknown)}: choose from {choices}"
                    )
            # A slot in `uses` is known only if the answer's condition names it.
            if unknown := _fields(answer.say, f"{where}: reply") - {*intent.needs, *answer.if_}:
                raise ValueError(
                    f"{where}: reply uses {sorted(unknown)}: list it under 'needs', or in the answer's 'if'"
                )
        if unknown := _fields(intent.confirm or "", f"{where}: confirm") - set(intent.needs):
            raise ValueError(f"{where}: confirm uses {sorted(unknown)}: list it under 'needs'")


def _fields(text: str, where: str) -> set[str]:
    """The slots in braces."""
    try:
        return {field for _, field, _, _ in Formatter().parse(text) if field is not None}
    except ValueError as error:
        raise ValueError(f"{where}: '{text}': a brace has no partner ({error}): add it, or remove the brace") from error
