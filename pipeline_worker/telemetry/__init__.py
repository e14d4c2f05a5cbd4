"""What operators see of turns: metrics of each stage, Prometheus histograms, OpenTelemetry spans."""
