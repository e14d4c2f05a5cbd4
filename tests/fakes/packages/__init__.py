"""Stand-ins for packages that are extras, with as much of their interface as our engines use.

They test our side; tests/extras tests that the real packages have this interface (`make test-extras`).
"""
