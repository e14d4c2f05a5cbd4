"""The scripted dialogue: a language model that says what an agent file tells it to say.

`values/` finds numbers, days, times and names in a sentence, `intents` what the sentence asks for, and `dialogue`
decides the answer. The matching of meanings works in 16 languages, the values are English.
"""
