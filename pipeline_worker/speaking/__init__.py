"""A reply becomes sound, and what was played of it becomes the words that the caller heard."""
