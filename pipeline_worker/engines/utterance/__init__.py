"""What recognizers of whole utterances share: the queue for one model, pauses in the sound, the helper."""
