"""Shared by recognizers of whole utterances: the queue for one model, pause detection, the helper."""
