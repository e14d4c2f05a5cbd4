"""Entry point of the `antiphon` command: makes our packages importable, then runs `deploy.cli`.

Our package names (gateway, shared, ...) are too general for site-packages. So an installed Antiphon is one package:
its `__init__` is this file, and our packages are in the folder `app` beside it.
"""

import os
import sys
from pathlib import Path


def app_folder(launcher: Path) -> Path:
    """The folder that holds our packages: `app` beside an installed launcher, else the source tree around it."""
    installed = launcher.parent / "app"
    return installed if installed.is_dir() else launcher.parent.parent


def main() -> None:
    sys.path.insert(0, str(app_folder(Path(__file__).resolve())))
    if os.getpid() == 1:  # in a container
        from deploy.init_process import fork_service

        fork_service()
    from deploy.cli import app

    app(prog_name="antiphon")


if __name__ == "__main__":
    main()
