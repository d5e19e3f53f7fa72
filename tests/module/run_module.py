"""Run a module of the collection as Ansible would on a host: arguments as JSON on stdin, the result on stdout."""

import importlib
import json
import sys

from ansible.module_utils.testing import patch_module_args

name = sys.argv[1]
module = importlib.import_module(f"ansible_collections.protostar.platform.plugins.modules.{name}")
with patch_module_args(json.load(sys.stdin)):
    module.main()
