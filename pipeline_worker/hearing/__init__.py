"""The caller's sound becomes utterances: audio frames in, voice activity, speech segments, endpointing,
transcription. Positions count samples of the caller's 16 kHz audio.
"""
