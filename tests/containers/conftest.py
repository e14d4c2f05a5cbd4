"""One deployment for all tests of this folder."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.browser.chromium import write_wave
from tests.containers.compose import Compose, build_images
from tests.fakes.ports import free_port


@pytest.fixture(scope="session")
def images() -> None:
    since = time.monotonic()
    build_images()
    print(f"\nimages built in {time.monotonic() - since:.0f} s")


@pytest.fixture(scope="session")
def compose(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    deployment = Compose(tmp_path_factory.mktemp("compose"), free_port())
    since = time.monotonic()
    try:
        deployment.up()
        deployment.until_ready()
        print(f"\neverything is ready {time.monotonic() - since:.0f} s after `compose up`")
        yield deployment
    except BaseException:
        print(deployment.logs())
        raise
    finally:
        deployment.down()


@pytest.fixture(scope="session")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A microphone in which nobody speaks."""
    return write_wave(tmp_path_factory.mktemp("microphone") / "silence.wav", np.zeros(48_000, np.int16))
