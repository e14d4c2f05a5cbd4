"""Connections and processes: broker, inbox and outbox, heartbeats, probes, logs, traces, the life of a service."""
