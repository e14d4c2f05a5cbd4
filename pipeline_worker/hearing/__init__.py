"""From the caller's sound to utterances: reassembly, voice activity, talkspurts, endpointing, transcription.

Positions count samples of the caller's 16 kHz audio.
"""
