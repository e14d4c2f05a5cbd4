"""A small script and the agent that follows it."""

from typing import Any

from shared.agent import AgentDefinition

SCRIPT: dict[str, Any] = {
    "slots": {"size": {"type": "people", "ask": "For how many?"}, "time": {"type": "time", "ask": "When?"}},
    "intents": [
        {"name": "hours", "examples": ["when are you open", "what are your opening hours"], "reply": "From five on."},
        {
            "name": "book",
            "examples": ["book a table", "I would like to book a table for two at seven", "can I make a reservation"],
            "needs": ["size", "time"],
            "reply": "A table for {size} {time}.",
        },
        {"name": "forget", "examples": ["never mind", "forget about it"], "forgets": True, "reply": "Forgotten."},
        {"name": "repeat", "examples": ["say that again", "can you repeat that"], "repeats": True},
        {"name": "goodbye", "examples": ["goodbye", "bye bye"], "ends_call": True, "reply": "Goodbye!"},
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
