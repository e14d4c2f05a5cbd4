"""Synthetic callers: WebRTC callers that speak, listen and record what happens.

`antiphon eval` (`callers.scenario`), the integration tests and the benchmarks use them.
"""
