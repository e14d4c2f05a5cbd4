import pytest

from pipeline_worker.mailbox import MAX_AUDIO, MAX_MESSAGES, Mailbox
from shared.errors import PeerError
from shared.events import InterruptRequested
from tests.fakes.session_peer import SESSION, SessionPeer


async def test_audio_and_messages_come_out_in_their_order() -> None:
    mailbox, peer = Mailbox(), SessionPeer()
    frames = [peer.next_frame(), peer.next_frame()]
    stop = InterruptRequested(session=SESSION)
    for item in (frames[0], stop, frames[1]):
        mailbox.put(item)
    assert await mailbox.next_message() == stop
    assert [await mailbox.next_audio() for _ in frames] == frames


async def test_full_of_audio_it_drops_the_oldest() -> None:
    mailbox, peer = Mailbox(), SessionPeer()
    for _ in range(MAX_AUDIO + 3):
        mailbox.put(peer.next_frame())
    assert (await mailbox.next_audio()).seq == 3


def test_a_flood_of_messages_is_an_error_of_the_sender() -> None:
    mailbox, peer = Mailbox(), SessionPeer()
    for _ in range(MAX_MESSAGES):
        mailbox.put(InterruptRequested(session=SESSION))
    for _ in range(MAX_AUDIO + 1):
        mailbox.put(peer.next_frame())
    with pytest.raises(PeerError) as raised:
        mailbox.put(InterruptRequested(session=SESSION))
    assert raised.value.code == "message_flood"
