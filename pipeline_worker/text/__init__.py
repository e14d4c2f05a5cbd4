"""Words, sentences, and what a voice says for a text. Pure; hearing, turns, speaking and engines use it."""
