"""Plugins of LiveKit Agents as engines."""
