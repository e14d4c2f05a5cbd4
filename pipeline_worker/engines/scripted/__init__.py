"""The scripted dialogue: a language model that follows a script in the agent file.

`values/` finds numbers, days, times and names in a sentence, `intents` matches its intent, and `dialogue` decides the
answer. Meanings are matched in 16 languages; values are English only.
"""
