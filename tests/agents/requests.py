"""What callers say to the shipped front desk, and whether it is understood: the evaluation sets of this folder.

A set is a list of sentences, each with the place in the dialogue where it is said, what it asks for (`none`: nothing
that a restaurant's desk knows) and the values that it names. All are said on Wednesday, 2 December 2026.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from yaml import safe_load

from pipeline_worker.engines.scripted.interpreter import DialogueContext, Interpreter, Meaning
from pipeline_worker.engines.scripted.script import Script
from pipeline_worker.turns.backchannels import usual

TODAY = date(2026, 12, 2)
AGENT = Path(__file__).parents[2] / "deploy/agents/front-desk.yaml"
FOLDER = Path(__file__).parent
_BOOKED: Mapping[str, Any] = {"party_size": 2, "day": date(2026, 12, 5), "time": 19 * 60, "name": "Miller"}
_ALIKE = 0.5
_FORM = "booking"
_SLOTS = {_FORM: ("party_size", "day", "time", "name"), "opening_hours": ("day",), "menu": ("topic",)}
"""The requests that count for each intent."""


class Request(BaseModel):
    """One sentence. `context`: fresh, asked_party_size, asked_day, asked_time, asked_name, confirm or booked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    say: str
    context: str
    intent: str
    slots: dict[str, Any]

    @property
    def place(self) -> DialogueContext:
        if self.context in ("confirm", "booked"):
            return DialogueContext(_FORM, tuple(_BOOKED.items()), confirming=self.context == "confirm")
        if self.context.startswith("asked_"):
            return DialogueContext(_FORM, asked=self.context.removeprefix("asked_"))
        return DialogueContext()

    @property
    def is_for_the_eye(self) -> bool:
        """Written as nobody speaks: "2 ppl sat 7pm"."""
        return bool(re.search(r"\d|\b(?:ppl|pls|plz|thx|tmrw|u|ur)\b", self.say))

    @property
    def values(self) -> dict[str, Any]:
        return {name: _minutes(value) if name == "time" else value for name, value in self.slots.items()}


@cache
def requests(file: str) -> Sequence[Request]:
    return [Request.model_validate(one) for one in safe_load((FOLDER / file).read_text(encoding="utf-8"))]


@cache
def front_desk() -> Interpreter:
    options = safe_load(AGENT.read_text(encoding="utf-8"))["language_model"]["options"]
    return Interpreter(Script.model_validate(options), usual("en"))


def is_understood(request: Request, text: str | None = None) -> bool:
    """Whether the sentence, or else what a recogniser made of it, is taken for what it is, with all its values.

    A recogniser cannot know how a name is spelt: one that sounds alike will do.
    """
    meaning = front_desk().interpret(request.say if text is None else text, request.place, TODAY)
    intent = _intent(meaning)
    if request.intent == "none" or intent != request.intent:
        return request.intent == "none" and intent is None
    found = {**meaning.values, **meaning.rejected}
    if text is not None and _alike(found.get("name"), request.values.get("name")):
        found["name"] = request.values["name"]
    return _comparable({name: found[name] for name in _SLOTS.get(intent, ()) if name in found}) == _comparable(
        request.values
    )


def _alike(heard: str | None, name: str | None) -> bool:
    if not heard or not name:
        return False
    return SequenceMatcher(None, heard.casefold(), name.casefold(), autojunk=False).ratio() >= _ALIKE


def _intent(meaning: Meaning) -> str | None:
    if meaning.intent is None and (meaning.values or meaning.rejected):
        return _FORM
    return _FORM if meaning.intent == "change" else meaning.intent


def _minutes(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def _comparable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.casefold() if isinstance(value, str) else value for name, value in values.items()}
