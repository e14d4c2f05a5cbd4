"""A real headless Chromium whose microphone is a sound file."""

import contextlib
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from playwright.async_api import BrowserContext, Page, async_playwright

from shared.audio import Pcm

_EXECUTABLE = "/usr/bin/chromium"
NO_NAMES = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
"""Chromium's rules for names: nothing here may leave the machine."""
ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"


@contextlib.asynccontextmanager
async def chromium(microphone: Path | None, *switches: str) -> AsyncIterator[BrowserContext]:
    """`microphone` is played once from the moment a page opens the microphone, then silence; None: there is none.

    `switches` take precedence over ours.
    """
    device = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=_EXECUTABLE,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--use-fake-ui-for-media-stream",
                *(device if microphone else []),
                "--allow-loopback-in-peer-connection",
                "--autoplay-policy=no-user-gesture-required",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                # The specification's client names a public STUN server.
                f"--host-resolver-rules={NO_NAMES}",
                *switches,
            ],
        )
        try:
            # Chromium does not take a page that a test answers for one of this machine, which may connect to it.
            yield await browser.new_context(permissions=["microphone", "local-network-access"])
        finally:
            await browser.close()


def write_wave(file: Path, samples: Pcm, sample_rate: int = 48_000) -> Path:
    """Mono 16-bit."""
    with wave.open(str(file), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(np.asarray(samples, "<i2").tobytes())
    return file


async def screenshot(page: Page, name: str) -> None:
    """Left in `artifacts/` for people to look at."""
    ARTIFACTS.mkdir(exist_ok=True)
    await page.screenshot(path=str(ARTIFACTS / f"{name}.png"))
