"""The base of voices."""


class TTS:
    pass
