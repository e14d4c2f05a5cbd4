"""Keys as a DTLS handshake would have left them, without the handshake."""

from pylibsrtp import Policy, Session

from media_worker.srtp import SrtpPair


def srtp_pairs() -> tuple[SrtpPair, SrtpPair]:
    """Ours and the caller's: what one protects the other can read."""
    ours, theirs = bytes(range(30)), bytes(range(30, 60))

    def session(key: bytes, ssrc_type: int) -> Session:
        return Session(Policy(key=key, ssrc_type=ssrc_type))

    return (
        SrtpPair(session(theirs, Policy.SSRC_ANY_INBOUND), session(ours, Policy.SSRC_ANY_OUTBOUND)),
        SrtpPair(session(ours, Policy.SSRC_ANY_INBOUND), session(theirs, Policy.SSRC_ANY_OUTBOUND)),
    )
