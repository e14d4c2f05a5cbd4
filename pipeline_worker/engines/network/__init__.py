"""What all engines behind a network share: provider, account, HTTP, WebSockets, errors, timed speech."""
