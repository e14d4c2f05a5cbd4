"""An engine and its fallback as one engine: the fallback takes over when the first one fails."""
