"""Text as people say it: its words, its sentences, and what a voice can say of it.
Pure, and used by hearing, turns, speaking and engines.
"""
