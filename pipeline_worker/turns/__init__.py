"""Turn taking: whether the caller or the agent has the floor.

Pure: events and audio positions in, actions out; no IO and no clock.
"""
