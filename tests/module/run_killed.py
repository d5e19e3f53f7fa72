"""Run bluegreen like run_module.py, and kill it (SIGKILL) right after its journal first says what argument 1 wants."""

import os
import runpy
import signal
import sys

from ansible_collections.protostar.platform.plugins.module_utils._ledger import Ledger

wanted = sys.argv[1]
original = Ledger.write


def write(self, entry):
    original(self, entry)
    if wanted in (entry.step, "flipped" if entry.flipped else ""):
        os.kill(os.getpid(), signal.SIGKILL)


Ledger.write = write
sys.argv = ["run_module.py", "bluegreen"]
runpy.run_path(os.path.join(os.path.dirname(__file__), "run_module.py"))  # noqa: PTH118, PTH120  as short as it gets
