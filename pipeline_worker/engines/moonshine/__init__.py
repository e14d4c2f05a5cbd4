"""Moonshine: speech to text on this machine. The default."""
