from typing import Any, cast

from callers.impairment import Impairment
from callers.load.load_caller import LoadCaller
from callers.signaling import Signaling


class FakeSignaling:
    lost = None


async def test_a_caller_whose_packet_cannot_be_sent_does_not_end_the_others_of_its_process() -> None:
    def open_signaling(**_: Any) -> Signaling:
        return cast(Signaling, FakeSignaling())

    caller = LoadCaller(open_signaling, [b"sound"] * 50, 0, Impairment(), listens=False)
    assert caller.end_reason is None
    caller.send_next(0.0)  # there is no connection
    assert caller.end_reason == "caller_AttributeError"
