"""What the media worker decides, without IO and without a clock: jitter, decoding, playout, ICE, SDP, rate limits."""
