"""What callers ask the shipped front desk: each question is about as long as its answer."""

QUESTIONS = (
    "Hello, I would like to know until what time you are open on Friday evening, please.",
    "Could you please tell me the way to your restaurant, and how do I find you from the station?",
    "We are coming by car this time, so is there somewhere near you where we can park it?",
    "My wife has been a vegetarian for years, so do you have any vegetarian dishes for her?",
    "I would really like to know what desserts you have on the menu this week, if I may ask.",
    "Do you also have something for children, because we are bringing our little ones along?",
    "And could you tell me, please, which kinds of pizza you make in that oven of yours?",
)
