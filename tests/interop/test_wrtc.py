"""Google's own WebRTC library (libwebrtc, as `@roamhq/wrtc` in Node) as a peer."""

import asyncio
import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from callers.voice import RATE as CALLER_RATE
from shared.audio import Pcm, as_samples
from tests.integration.deployment import Deployment
from tests.integration.echo import find_echo
from tests.integration.speech import spoken

pytestmark = pytest.mark.asyncio(loop_scope="module")

_FOLDER = Path(__file__).parent
_TIMEOUT_S = 45.0
_SAME_VOICE = 0.85


async def _called(url: str, agent_id: str, words: Pcm) -> dict[str, Any]:
    """What the caller reports of its call."""
    node = shutil.which("node")
    assert node and (_FOLDER / "node_modules").exists(), "`make test` installs Node and its packages"
    order = {"url": url, "agentId": agent_id, "pcm": base64.b64encode(words.astype("<i2").tobytes()).decode()}
    process = await asyncio.create_subprocess_exec(
        *(node, str(_FOLDER / "caller.mjs")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reported, failure = await process.communicate(json.dumps(order).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, failure.decode()
    report: dict[str, Any] = json.loads(reported)
    return report


async def test_libwebrtc_hears_its_own_voice_from_the_echo_agent(deployment: Deployment) -> None:
    (words,) = await spoken("One two three four five six seven.")
    call = await _called(deployment.signaling_url, "echo", words)
    heard = as_samples(base64.b64decode(call["heard"]))
    assert call["heardRate"] == CALLER_RATE
    assert find_echo(heard, words, CALLER_RATE).likeness > _SAME_VOICE
    assert "connected" in call["states"]
    assert call["pair"]["state"] == "succeeded"
    assert [event["status"] for event in call["events"] if event["type"] == "status"][:2] == ["connecting", "listening"]
    assert {"type": "pong", "id": 1, "data": {"id": 1}} in call["channelEvents"]
