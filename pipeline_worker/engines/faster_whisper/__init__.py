"""faster-whisper: speech to text on this machine."""
