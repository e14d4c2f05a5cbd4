"""Silero VAD: voice activity detection for all sessions of the process."""
