import resource
from collections.abc import Iterator

import pytest

from gateway.http_server import allow_open_files


@pytest.fixture
def few_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_files")
def test_the_default_of_1024_open_files_was_too_few_for_the_connections_allowed() -> None:
    allow_open_files(10)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
    allow_open_files(200)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 456
