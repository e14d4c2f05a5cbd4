from pathlib import Path

from deploy.launch import app_folder


def test_the_packages_of_an_installation_are_beside_the_launcher(tmp_path: Path) -> None:
    launcher = tmp_path / "antiphon" / "launch.py"
    (launcher.parent / "app").mkdir(parents=True)
    assert app_folder(launcher) == tmp_path / "antiphon" / "app"


def test_the_packages_of_the_source_tree_are_the_tree(tmp_path: Path) -> None:
    launcher = tmp_path / "deploy" / "launch.py"
    launcher.parent.mkdir()
    assert app_folder(launcher) == tmp_path
