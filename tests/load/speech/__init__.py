"""Benchmark `speech`: the recogniser and the voice that Antiphon comes with, and a worker that runs both on one core.

`benchmark` runs its parts, a module each; none of them knows another.
"""
