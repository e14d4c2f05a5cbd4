"""Telemetry of turns: metrics of each stage, Prometheus histograms, spans for the session's trace."""
