"""What `deploy/image/Dockerfile` puts into the image."""

import re
import tomllib

from deploy.process_command import APP_FOLDER

_DOCKERFILE = (APP_FOLDER / "deploy/image/Dockerfile").read_text(encoding="utf-8")
_COPIED = dict(re.findall(r"^COPY (\S+) app/(\S+)$", _DOCKERFILE, re.MULTILINE))
_PROJECT = tomllib.loads((APP_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_image_holds_what_the_wheel_holds() -> None:
    wheel = {entry.lstrip("/") for entry in _PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["include"]}
    assert set(_COPIED) == wheel
    for source, target in _COPIED.items():
        assert target.rstrip("/") == source.removesuffix("/*.py")


def test_nothing_that_is_copied_is_ignored() -> None:
    lines = (APP_FOLDER / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    sources = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", _DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert {source for source in sources if source not in kept and not source.startswith("deploy/image/")} == set()
    assert "deploy/image" in kept


def test_packages_are_installed_by_their_hashes_alone() -> None:
    locks = re.findall(r"-r (\S+\.lock)", _DOCKERFILE)
    assert locks == ["requirements.lock", "otel-requirements.lock", "sbom-requirements.lock"]
    assert '"install --quiet --require-hashes --only-binary :all:"' in _DOCKERFILE
    assert _DOCKERFILE.count("pip --python") == _DOCKERFILE.count("${INSTALL}") == 2


def test_processes_of_the_image_can_send_traces() -> None:
    """They have no pip with which an operator could install the extra."""
    wanted = _PROJECT["project"]["optional-dependencies"]["otel"]
    stated = (APP_FOLDER / "deploy/image/otel-requirements.in").read_text(encoding="utf-8").splitlines()
    assert set(wanted) <= set(stated)


def test_the_locks_of_the_image_agree() -> None:
    whole, added = (
        dict(re.findall(r"^(\S+)==(\S+)", (APP_FOLDER / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.lock", "deploy/image/otel-requirements.lock")
    )
    assert {name: version for name, version in added.items() if whole.get(name, version) != version} == {}


def test_the_image_runs_as_a_user_whose_number_is_not_0() -> None:
    final_stage = _DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.findall(r"^USER (.+)$", final_stage, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^ENTRYPOINT (.+)$", final_stage, re.MULTILINE) == ['["antiphon"]']
    assert "RUN" not in final_stage  # it has no shell
