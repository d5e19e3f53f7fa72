# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking a service away."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.protostar.platform.plugins.module_utils import _files
from ansible_collections.protostar.platform.plugins.module_utils._deployment import Deployment
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._ready import Ready
from ansible_collections.protostar.platform.plugins.module_utils._restore import recover
from ansible_collections.protostar.platform.plugins.module_utils._store import Store


def remove(store: Store, engine: Engine, *, purge: bool, check: bool) -> list[str]:
    """Remove a service, and return what was done in sentences; empty if it was not there.

    Args:
        store: The service's directory.
        engine: The engine of this host; one that is not installed has no containers.
        purge: Remove its volumes, and files that others put into its directory, as well.
        check: Only tell what would be done.

    """
    verb = "would remove" if check else "removed"
    installed = Path(engine.path).exists() or store.record_file.exists()
    deployment = Deployment(store, engine, Ready())
    if not check and deployment.journal.exists:
        recover(deployment)
    names = sorted(item.running.name for item in deployment.containers().values()) if installed else []
    volumes = sorted(engine.volumes(store.name)) if installed and purge else []
    said = [f"{verb} the container {name}" for name in names]
    said += [f"{verb} the volume {name}" for name in volumes]
    if store.directory.exists() if purge else store.written():
        said.append(f"{verb} the {'directory' if purge else 'files in'} {store.directory}")
    if check or not said:
        return said
    if names:
        deployment.compose().down()
    for volume in volumes:
        engine.remove_volume(volume)
    if purge:
        _files.remove_tree(store.directory)
    else:
        store.clear()
    return said
