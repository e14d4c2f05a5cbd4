"""What callers ask the shipped front desk. A question is about as long as its answer.

Hardly two are the same in a run: a worker keeps what it made of a sentence, and real callers seldom say one twice.
"""

_BEGINNINGS = ("Hello, I have a question, ", "Good evening to you, ", "Excuse me, one more thing, ", "")
_QUESTIONS = (
    "I would like to know until what time you are open on Friday evening.",
    "could you please tell me how I find you from the station?",
    "we are coming by car, so is there somewhere near you where we can park?",
    "my wife is a vegetarian, so do you have any dishes for her?",
    "I would really like to know what desserts you have on the menu.",
    "do you have something for children, because we bring our little ones?",
    "could you tell me which kinds of pizza you make in your oven?",
)
QUESTIONS = tuple(f"{beginning}{question}" for beginning in _BEGINNINGS for question in _QUESTIONS)
