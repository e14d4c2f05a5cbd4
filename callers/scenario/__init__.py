"""`antiphon eval`: calls that follow a scenario file, and whether they met its expectations."""
