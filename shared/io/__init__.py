"""Connections and processes: broker, inbox and outbox, heartbeats, probes, logs, the life of a service."""
