"""What each release wrote to the broker, as files that later versions must be able to read.

`python -m tests.shared.released.record` writes the folder of the version in `pyproject.toml`, before it is released.
Folders of earlier versions are never changed. One goes when nobody upgrades from its version any more.
"""
