"""Sixty sentences as callers and agents say them: none was chosen by how well it is recognised."""

RESTAURANT = (
    "I would like to book a table for four people on Friday evening.",
    "Do you have anything free on Saturday at half past seven?",
    "Could we sit outside if the weather is nice?",
    "My wife does not eat fish, so what would you recommend?",
    "Is there a place to park the car near the restaurant?",
    "We are running late and will be there in twenty minutes.",
    "Can you make the pasta without garlic?",
    "What time does the kitchen close on Sunday?",
    "I need to change my booking from six to eight people.",
    "Please cancel the table for tonight, one of us is ill.",
    "Do you have a high chair for a small child?",
    "Which tram stops in front of your door?",
    "The soup was cold and the waiter forgot our drinks.",
    "Is the chocolate cake made with nuts?",
    "We would like to pay by card and split the bill.",
)
GENERAL = (
    "The train to the airport leaves from the other platform.",
    "She put the letter on the kitchen table and left the house.",
    "It has been raining since early this morning.",
    "Please send me the report before the meeting starts.",
    "My phone is nearly empty and I forgot the charger.",
    "He opened the window because the room was too warm.",
    "The library is closed during the summer holidays.",
    "Turn left at the church and walk along the river.",
    "They sold their old house and moved to the country.",
    "I usually drink a cup of coffee before I go to work.",
    "The doctor told him to rest for a few days.",
    "We watched a movie about the history of the ocean.",
    "There is a problem with the heating in my apartment.",
    "The package was delivered to the wrong address.",
    "Let me check that for you, it will only take a moment.",
)
NUMBERS = (
    "My order number is four seven one nine two.",
    "The meeting begins at a quarter past nine.",
    "There were two hundred and fifty people at the wedding.",
    "Call me at five five five, zero one nine eight.",
    "The ticket costs twelve dollars and fifty cents.",
    "We need thirty six chairs and nine tables.",
    "The store is open from eight thirty to six fifteen.",
    "He was born on the third of March, nineteen eighty four.",
    "Flight two zero six will be delayed by ninety minutes.",
    "The code for the door is eight three eight one.",
    "About sixty percent of them said yes.",
    "I will be on the fourteenth floor, room one four two.",
    "It is seventeen degrees outside and five below zero at night.",
    "She ran ten miles in an hour and twenty minutes.",
    "Please charge forty dollars to the card that ends in two two seven zero.",
)
QUESTIONS = (
    "How long does it take to get to the city center?",
    "Where did you put the keys to the car?",
    "Can you tell me what the weather will be like tomorrow?",
    "Why is my internet connection so slow today?",
    "Who is going to pick up the children from school?",
    "Would you mind speaking a little more slowly?",
    "What is the difference between these two plans?",
    "Have you ever been to the mountains in winter?",
    "When will my new credit card arrive?",
    "Is it possible to return a shirt without the receipt?",
    "Did anyone leave a message for me?",
    "Could you repeat the last part, please?",
    "Are you sure that this is the right way?",
    "How do I reset the password of my account?",
    "Should I bring my own towel to the swimming pool?",
)
SENTENCES = RESTAURANT + GENERAL + NUMBERS + QUESTIONS

LONG = (
    "Good evening, I would like to know whether you still have a table for four people on Friday at seven, near the "
    "window if that is possible.",
    "We are coming by train tomorrow, so please tell me which way we have to walk from the station to your restaurant.",
    "I ordered a pair of shoes two weeks ago, and they still have not arrived, although I paid extra for the delivery.",
    "Could you tell my colleague that I will call her back this afternoon, once the meeting with the bank is over?",
)
"""Of six to eight seconds."""
