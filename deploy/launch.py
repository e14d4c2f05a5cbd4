"""Where the `antiphon` command begins: makes our packages importable, then hands over to `deploy.cli`.

Our package names (gateway, shared, ...) are too general for site-packages, so an installed Antiphon is one package:
its `__init__` is this file, and ours lie in the folder `app` beside it. In the source tree that is the repository.
"""

import sys
from pathlib import Path


def app_folder(launcher: Path) -> Path:
    """The folder that holds our packages: `app` beside an installed launcher, else the source tree around it."""
    installed = launcher.parent / "app"
    return installed if installed.is_dir() else launcher.parent.parent


def main() -> None:
    sys.path.insert(0, str(app_folder(Path(__file__).resolve())))
    from deploy.cli import app

    app(prog_name="antiphon")


if __name__ == "__main__":
    main()
