import re
from pathlib import Path

from gateway.core import client_messages, signaling
from shared.errors import BrokerError, OfferError, RefusedError

ROOT = Path(__file__).resolve().parent.parent.parent
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()


def test_every_error_code_is_documented() -> None:
    codes = {BrokerError.code, OfferError.code, RefusedError.code}
    for module in (client_messages, signaling):
        source = Path(str(module.__file__)).read_text()
        codes |= set(re.findall(r'(?:code=|_object\(|_error\(|CloseSocket\([A-Z_]+, )"(\w+)"', source))
    assert len(codes) > 12
    codes -= {signaling.IllegalInput.code}
    assert [code for code in sorted(codes) if f"`{code}`" not in PROTOCOL] == []
