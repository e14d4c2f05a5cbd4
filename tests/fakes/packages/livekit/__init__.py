"""Stands for livekit-agents 1.8, as far as plugins are used on their own."""
