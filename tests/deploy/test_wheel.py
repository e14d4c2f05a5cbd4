"""What `pip install` would install."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from deploy.process_command import APP_FOLDER


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as pip lays it out."""
    built, installed = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(command, cwd=APP_FOLDER, check=True, timeout=120, capture_output=True)
    (wheel,) = built.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    return installed


def test_only_our_own_name_lands_in_site_packages(site_packages: Path) -> None:
    names = {path.name for path in site_packages.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"antiphon"}


def test_everything_that_runs_is_in_it_and_no_tests(site_packages: Path) -> None:
    app = site_packages / "antiphon" / "app"
    packages = {"gateway", "media_worker", "pipeline_worker", "shared", "callers", "client", "deploy"}
    assert {path.name for path in app.iterdir()} == packages
    for package in app.iterdir():
        source = APP_FOLDER / package.name
        ours = {path.relative_to(source) for path in source.rglob("*.py") if path != source / "launch.py"}
        assert ours == {path.relative_to(package) for path in package.rglob("*.py")}
    agents = {path.name for path in (APP_FOLDER / "deploy" / "agents").glob("*.yaml")}
    assert agents == {path.name for path in (app / "deploy" / "agents").iterdir()}
    sentences = Path("pipeline_worker", "engines", "scripted", "sentences")
    texts = {path.name for path in (APP_FOLDER / sentences).iterdir()}
    assert texts >= {"agree.txt", "decline.txt", "out_of_scope.txt"}
    assert texts == {path.name for path in (app / sentences).iterdir()}
    page = {path.name for path in (APP_FOLDER / "gateway" / "page").iterdir()}
    assert page == {path.name for path in (app / "gateway" / "page").iterdir()}
    client = APP_FOLDER / "client"
    assert {path.relative_to(client) for path in client.glob("src/**/*")} == {
        path.relative_to(app / "client") for path in (app / "client").rglob("*") if path.name != "src"
    }


def test_an_installed_worker_reports_the_version_of_the_project(site_packages: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join(map(str, (site_packages, site_packages / "antiphon" / "app")))
    run = subprocess.run(
        [sys.executable, "-P", "-c", "from shared.io.build import own_version; print(own_version())"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        timeout=60,
        capture_output=True,
        text=True,
    )
    project = tomllib.loads((APP_FOLDER / "pyproject.toml").read_text())["project"]
    assert run.stdout.strip() == project["version"], run.stderr


def test_the_command_and_the_processes_it_starts_find_their_packages(site_packages: Path, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    run = subprocess.run(
        [sys.executable, "-P", "-c", "import antiphon; antiphon.main()", "gateway", "--help"],
        cwd=tmp_path,
        env=clean | {"PYTHONPATH": str(site_packages)},
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "usage: antiphon gateway" in run.stdout
