"""Who has the floor: the caller or the agent. States, events, handlers and the table that joins them.
Pure: events and positions in, actions out; no IO and no clock.
"""
