"""Piper: text to speech on this machine. The default."""
