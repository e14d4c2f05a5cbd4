"""A small script and the agent that follows it."""

from typing import Any

from shared.agent import AgentDefinition

SCRIPT: dict[str, Any] = {
    "slots": {
        "size": {
            "ask": "For how many?",
            "values": {"two": "two | a couple", "seven": "seven"},
            "phrases": ["[for] {size} [people]"],
        },
        "time": {
            "ask": "When?",
            "values": {"at seven": "seven [o'clock]", "at half past seven": "seven thirty | half past seven"},
            "phrases": ["[at] {time}"],
        },
    },
    "intents": [
        {"name": "hours", "phrases": ["when are you open", "what are your opening hours"], "reply": "From five on."},
        {
            "name": "book",
            "phrases": ["book a table [for {size} [people]] [at {time}]"],
            "needs": ["size", "time"],
            "reply": "A table for {size} {time}.",
        },
        {"name": "forget", "phrases": ["never mind"], "forgets": True, "reply": "Forgotten."},
        {"name": "repeat", "phrases": ["say that again"], "repeats": True},
        {"name": "goodbye", "phrases": ["goodbye"], "ends_call": True, "reply": "Goodbye!"},
    ],
    "fallback": ["Pardon?", "Ask when we are open."],
}


def scripted_agent(script: dict[str, Any] = SCRIPT, **fields: Any) -> AgentDefinition:
    return AgentDefinition.model_validate(
        {
            "id": "desk",
            "name": "Desk",
            "greeting": {"text": "Hello."},
            "language_model": {"engine": "scripted", "options": script},
            **fields,
        }
    )
