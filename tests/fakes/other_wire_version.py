"""`python -m tests.fakes.other_wire_version`: the service of SERVICE, as a release with another wire version."""

import os
import runpy

from shared import keys

keys.WIRE_VERSION += 1

if __name__ == "__main__":
    runpy.run_module(os.environ["SERVICE"], run_name="__main__")
