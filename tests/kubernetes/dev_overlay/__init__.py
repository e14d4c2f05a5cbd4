"""The overlay `dev`, with two pods of each service."""
