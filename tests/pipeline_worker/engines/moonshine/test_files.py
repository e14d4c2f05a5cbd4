from pathlib import Path
from shutil import copytree

import pytest

from pipeline_worker.engines.moonshine.files import DECODER, FILES, PACKAGED, folder_of, verify


def packaged() -> Path:
    folder = folder_of(PACKAGED)
    assert folder is not None
    return folder


def test_the_packaged_model_is_the_one_we_know() -> None:
    verify(packaged())


def test_another_name_is_a_folder(tmp_path: Path) -> None:
    assert folder_of(str(tmp_path)) == tmp_path


def test_the_error_for_a_changed_file_has_a_remedy(tmp_path: Path) -> None:
    folder = copytree(packaged(), tmp_path / "model")
    assert {file.name for file in folder.iterdir()} >= set(FILES)
    with (folder / DECODER).open("r+b") as file:
        file.write(b"\0\0\0\0")
    with pytest.raises(ValueError, match=rf"{DECODER} is not the file of moonshine-voice 0\.1\.0: install"):
        verify(folder)


def test_a_missing_package_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.path_importer_cache", {})
    assert folder_of(PACKAGED) is None
