"""The `antiphon` command: one-machine deployment, doctor, evaluation."""
