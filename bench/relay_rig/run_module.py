"""Runs a module, its arguments as JSON on stdin; last on stderr are the seconds of its main function."""

import importlib
import json
import sys
import time

from ansible.module_utils.testing import patch_module_args

module = importlib.import_module(f"ansible_collections.protostar.platform.plugins.modules.{sys.argv[1]}")
with patch_module_args(json.load(sys.stdin)):
    began = time.perf_counter()
    try:
        module.main()
    finally:
        print(time.perf_counter() - began, file=sys.stderr)
