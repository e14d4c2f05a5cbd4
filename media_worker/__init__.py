"""Terminates WebRTC: packets of callers become PCM frames for the pipeline, and the agent's audio becomes packets.

`session` wires one caller's parts together; `core` decides.
"""
