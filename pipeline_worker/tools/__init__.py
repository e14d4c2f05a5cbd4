"""Tools of language models: the loop that runs them, and the kinds of tools (webhook, Python function, built in)."""
