import subprocess
from pathlib import Path

from deploy.process_command import APP_FOLDER, bound_command, module_command, with_import_path


def test_children_find_our_packages_from_any_folder_and_not_that_folders(tmp_path: Path) -> None:
    impostor = tmp_path / "shared"
    impostor.mkdir()
    (impostor / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    (impostor / "ids.py").write_text("")
    run = subprocess.run(
        module_command("shared.ids"), cwd=tmp_path, env=with_import_path({}), timeout=30, capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_the_users_own_import_path_comes_after_ours() -> None:
    assert with_import_path({"PYTHONPATH": "/theirs"})["PYTHONPATH"] == f"{APP_FOLDER}:/theirs"


def test_a_bound_command_is_the_command_itself() -> None:
    run = subprocess.run(bound_command(["echo", "a b", "c"]), timeout=30, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "a b c\n")
