"""What the gateway decides, without IO and without a clock: signaling states, client messages, placement."""
