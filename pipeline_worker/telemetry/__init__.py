"""Telemetry of turns: metrics of each stage, Prometheus histograms, OpenTelemetry spans."""
