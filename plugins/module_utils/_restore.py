# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Putting the previous release back: after a failure, or after a run that was killed."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.protostar.platform.plugins.module_utils import _files
from ansible_collections.protostar.platform.plugins.module_utils._deployment import Deployment
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._journal import PREPARE, Entry
from ansible_collections.protostar.platform.plugins.module_utils._release import Record


def recover(deployment: Deployment) -> list[str]:
    """Undo what a killed run left half done; return what was done in sentences.

    A repair is not undone: its journal stays, and marks the containers that the next plan must not trust.
    """
    entry = deployment.journal.read()
    if entry is None:
        _close(deployment)
        return []
    deployment.clear_copies()
    record = deployment.store.record()
    if record is not None and record.id == entry.release:
        if not entry.repair:
            deployment.journal.close()
        return []
    if entry.phase == PREPARE:
        abandon(deployment, entry)
        return [f"cleared away release {entry.release}, whose preparation was interrupted"]
    return [f"undid release {entry.release}, which was interrupted: {undo(deployment, entry)}"]


def abandon(deployment: Deployment, entry: Entry) -> None:
    """Remove what preparing a release left behind; nothing live was touched."""
    store = deployment.store
    store.forget(entry.release)
    try:
        deployment.clear_copies()
    except ServiceError:
        return  # the journal stays, and has the next run try again
    _close(deployment)


def _close(deployment: Deployment) -> None:
    deployment.journal.close()
    if not deployment.store.record_file.exists():
        _files.remove_empty(deployment.store.directory)


def undo(deployment: Deployment, entry: Entry) -> str:
    """Put the host back to where it was before a release was switched to, and tell how that went."""
    record = deployment.store.record()
    told = _undo_first(deployment, entry) if record is None else _put_back(deployment, entry, record)
    deployment.journal.close()
    return told


def _undo_first(deployment: Deployment, entry: Entry) -> str:
    store = deployment.store
    deployment.compose().down()
    for volume in deployment.engine.volumes(store.name) - set(entry.volumes):
        deployment.engine.remove_volume(volume)
    for file in store.kept(entry.release)[1]:
        _files.remove(store.directory / file.dest)
    store.clear()
    return "there was no release before it, so its containers and files were removed"


def _put_back(deployment: Deployment, entry: Entry, record: Record) -> str:
    store = deployment.store
    compose, files = store.kept(record.id)
    if not compose:
        return f"release {record.id} cannot be put back, since its copy in {store.releases} is gone"
    for file in store.kept(entry.release)[1]:
        if file.dest not in record.files:
            _files.remove(store.directory / file.dest)
    store.forget(entry.release)  # now: on a full disk, this is the room that putting back needs
    for file in files:
        _files.discard(store.directory / file.dest)
        if _files.look(store.directory / file.dest) != file.seal:
            _files.put(store.directory, file)
    _files.discard(store.compose_file)
    if store.compose_digest() != record.compose_file:
        _files.write(store.compose_file, compose)
    deployment.pin(record.images)

    before = deployment.containers()
    replaced = {
        name
        for name, released in record.containers.items()
        if name not in before or before[name].running.id != released.id or before[name].state != "running"
    }
    try:
        if entry.reload and entry.reload["service"] not in replaced:
            deployment.reload(entry.reload)
        deployment.up(replaced, record.containers, before)
        deployment.wait(record.containers, before)
    except ServiceError as error:
        return f"release {record.id} was put back but does not run: {error}"
    finally:
        after = {name: container.running for name, container in deployment.containers().items()}
        store.commit(replace(record, containers={**record.containers, **after}))
    return f"release {record.id} was put back and is ready"
