"""Stand-ins for packages that are extras, with as much of their interface as our engines use.

They show what our side does; that the real ones have this interface is what tests/extras shows (`make test-extras`).
"""
