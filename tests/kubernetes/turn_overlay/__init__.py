"""The overlay `production-turn`: callers reach media workers through coturn alone, and the broker is elsewhere."""
