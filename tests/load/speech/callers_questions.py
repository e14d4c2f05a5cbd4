"""What callers ask the shipped front desk. A question is about as long as its answer.

Hardly two are the same in a run: a worker keeps what it made of a sentence, and real callers seldom say one twice.
"""

_BEGINNINGS = ("Hello, I have a question, ", "Good evening to you, ", "Excuse me, one more thing, ", "")
_QUESTIONS = (
    "I would like to know until what time you are open on Friday evening.",
    "my wife is a vegan, so do you have any dishes for her?",
    "I would like to know what desserts you have on the menu.",
    "my husband loves steak, so is there any meat on the menu?",
    "could you tell me whether you have any fresh fish on the menu?",
    "could you tell me which wines and other drinks you have?",
)
QUESTIONS = tuple(f"{beginning}{question}" for beginning in _BEGINNINGS for question in _QUESTIONS)
