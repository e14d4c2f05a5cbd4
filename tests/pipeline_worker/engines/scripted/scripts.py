"""The script of a small restaurant, with every feature of a form."""

from typing import Any

RESTAURANT: dict[str, Any] = {
    "slots": {
        "party_size": {
            "type": "people",
            "ask": "For how many people?",
            "max": 8,
            "otherwise": "We have tables for up to eight. For how many?",
        },
        "day": {
            "type": "date",
            "ask": "For which day?",
            "closed": ["monday"],
            "otherwise": "On Mondays we are closed. Which other day?",
        },
        "time": {
            "type": "time",
            "day": "day",
            "ask": "At what time?",
            "windows": [
                {"opens": "17:00", "closes": "21:30"},
                {"opens": "12:00", "closes": "21:30", "days": ["sunday"]},
            ],
            "otherwise": "Tables are free from five on, on Sundays from noon. At what time?",
        },
        "name": {"type": "name", "ask": "And your name?"},
        "diet": {"type": "choice", "values": {"vegan": ["vegan", "plant based"], "fish": ["fish", "salmon"]}},
    },
    "intents": [
        {
            "name": "booking",
            "examples": """
                I would like to book a table
                can I make a reservation
                a table for two people on Friday at seven
                do you have a table for four tonight
            """,
            "needs": ["party_size", "day", "time", "name"],
            "confirm": "A table for {party_size} {day} {time}, for {name}. Shall I book it?",
            "reply": "Booked for {party_size} {day} {time}, for {name}.",
        },
        {
            "name": "change",
            "amends": "booking",
            "examples": """
                I want to change my booking
                can you make it half past seven instead
                can we move it to Saturday
                the time is wrong
            """,
        },
        {
            "name": "cancel",
            "forgets": True,
            "examples": "never mind\nforget it\ncancel the booking please",
            "reply": "Nothing is booked.",
        },
        {
            "name": "hours",
            "uses": ["day"],
            "examples": "when are you open\nwhat are your opening hours\nare you open on Friday",
            "reply": [
                {"if": {"day": "monday"}, "say": "We are closed on Mondays."},
                {"if": {"day": ["saturday", "sunday"]}, "say": "We are open from noon {day}."},
                {"say": "We are open from five until eleven."},
            ],
        },
        {
            "name": "menu",
            "uses": ["diet"],
            "examples": "what is on the menu\nis there anything vegan\ndo you serve fish\nwhat can we eat",
            "reply": [
                {"if": {"diet": "vegan"}, "say": "Yes, we have vegan dishes."},
                {"if": {"diet": "fish"}, "say": "We have fresh fish."},
                {"say": "We cook pasta and fish."},
            ],
        },
        {"name": "repeat", "repeats": True, "examples": "can you say that again\npardon\nwhat did you say"},
        {
            "name": "thanks",
            "small_talk": True,
            "examples": "thank you\nthank you very much\nthat is very kind",
            "reply": "You are welcome.",
        },
        {
            "name": "goodbye",
            "small_talk": True,
            "ends_call": True,
            "examples": "goodbye\nbye bye\nthat's all, thank you\nthank you, goodbye",
            "reply": "Goodbye!",
        },
    ],
    "amend": "What shall I change?",
    "fallback": ["Pardon?", "I can book a table, or tell you our opening hours.", "Please ask for a table."],
}
