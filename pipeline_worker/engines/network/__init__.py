"""What all vendors over the network share: account and key, HTTP, WebSockets, errors, timed speech."""
