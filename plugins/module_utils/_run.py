# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the `service` module does with its arguments: look, plan, and only then load what changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.protostar.platform.plugins.module_utils._composefile import HEADER, render
from ansible_collections.protostar.platform.plugins.module_utils._desired import Options, check_name, options, release
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._journal import Journal
from ansible_collections.protostar.platform.plugins.module_utils._lock import held
from ansible_collections.protostar.platform.plugins.module_utils._observe import Current, containers, images
from ansible_collections.protostar.platform.plugins.module_utils._plan import COMPOSE, Plan, actions, plan
from ansible_collections.protostar.platform.plugins.module_utils._release import Release
from ansible_collections.protostar.platform.plugins.module_utils._status import described, services
from ansible_collections.protostar.platform.plugins.module_utils._store import Store

if TYPE_CHECKING:
    from ansible_collections.protostar.platform.plugins.module_utils._deployment import Deployment


def hidden_words(secrets: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return what Ansible must mask wherever a program repeats a secret or part of it: its lines and its long words."""
    texts = [str(secret["content"] or "").strip() for secret in secrets]
    lines = {line.strip() for text in texts for line in text.splitlines() if len(line.strip()) >= 8}
    words = {word for text in texts for word in text.split() if len(word) >= 12}
    return lines | words | {text for text in texts if text}


def present(parameters: Mapping[str, Any], *, check: bool, diff: bool) -> dict[str, Any]:
    """Bring the service to the desired release.

    Args:
        parameters: The module's.
        check: Only tell what would be done.
        diff: Whether to return a diff.

    Raises:
        ServiceError: It could not be; the sentence says what runs now.

    """
    desired = release(parameters)
    run = Run(Store(parameters["root"], desired.name), Engine(), desired, options(parameters, desired))
    with nullcontext() if check else held(run.store.lock_file):
        return run.check(diff=diff) if check else run.carry_out(diff=diff)


def replaced(parameters: Mapping[str, Any]) -> list[str]:
    """Return the running containers that `present` would replace, because they are not what was released.

    Args:
        parameters: The module's.

    """
    desired = release(parameters)
    return Run(Store(parameters["root"], desired.name), Engine(), desired, options(parameters, desired)).replaced()


@dataclass(frozen=True)
class Run:
    """One call of the module for a service that shall be present."""

    store: Store
    engine: Engine
    desired: Release
    options: Options

    def check(self, *, diff: bool) -> dict[str, Any]:
        """Tell what would be done. A host that has no engine yet has nothing running either."""
        fresh = not Path(self.engine.path).exists() and not self.store.record_file.exists()
        current = Current() if fresh else self._look()
        todo = plan(current, self.desired, self.options.reload)
        said = actions(todo, done=False)
        entry = Journal(self.store.journal_file).read()
        if entry is not None and not entry.repair:
            said.insert(0, f"would first undo release {entry.release}, which was interrupted")
        if todo.changed and not fresh:
            from ansible_collections.protostar.platform.plugins.module_utils import _preflight  # noqa: PLC0415

            _preflight.check(self.desired, self.engine, networks=False)
        return self._result(todo, current, said, diff=diff, running=not fresh)

    def replaced(self) -> list[str]:
        """Return the running containers that would be replaced."""
        current = self._look()
        todo = plan(current, self.desired, self.options.reload)
        threatened = [current.containers[name] for name in todo.recreate if name in current.containers]
        return [container.running.name for container in threatened if container.state == "running"]

    def carry_out(self, *, diff: bool) -> dict[str, Any]:
        """Do what is to be done; loads what can change anything only if there is something."""
        said: list[str] = []
        if Journal(self.store.journal_file).exists:
            from ansible_collections.protostar.platform.plugins.module_utils._restore import recover  # noqa: PLC0415

            said = recover(self._deployment())
        current = self._look()
        todo = plan(current, self.desired, self.options.reload)
        if not todo.changed:
            self._settle(current)
            return self._result(todo, current, said, diff=diff)
        from ansible_collections.protostar.platform.plugins.module_utils._transaction import Transaction  # noqa: PLC0415

        result = self._result(todo, current, [*said, *actions(todo, done=True)], diff=diff, running=False)
        text = self._compose_text(todo)
        record = Transaction(
            self._deployment(), self.desired, self.options, current=current, plan=todo, compose=text
        ).run()
        return {**result, "release": record.id, "services": services(self.engine, self.desired.name, record)}

    def _look(self) -> Current:
        store, record = self.store, self.store.record()
        entry = Journal(store.journal_file).read()
        repairing = entry is not None and record is not None and entry.release == record.id
        return Current(
            record=record,
            compose=store.compose_digest(),
            files=store.files({*self.desired.seals, *(record.files if record else ())}),
            containers=containers(self.engine, self.desired.name),
            images=images(self.engine, (str(service["image"]) for service in self.desired.services.values())),
            interrupted=frozenset(entry.services if entry is not None and repairing else ()),
        )

    def _settle(self, current: Current) -> None:
        """Wait for what somebody else has just started."""
        if any(container.health == "starting" for container in current.containers.values()):
            self._deployment().wait(self.desired.services, current.containers)

    def _deployment(self) -> Deployment:
        from ansible_collections.protostar.platform.plugins.module_utils._deployment import Deployment  # noqa: PLC0415

        return Deployment(self.store, self.engine, self.options.ready)

    def _compose_text(self, todo: Plan) -> str:
        if COMPOSE in todo.write:
            return render(self.desired.compose, HEADER.format(path=self.store.compose_file))
        return self.store.compose_file.read_text(encoding="utf-8")

    def _result(
        self, todo: Plan, current: Current, said: list[str], *, diff: bool, running: bool = True
    ) -> dict[str, Any]:
        result: dict[str, Any] = {
            "changed": bool(said or todo.changed),
            "release": current.record.id if current.record else None,
            "actions": said,
            "services": described(self.desired.name, current.containers, current.record) if running else [],
        }
        if diff and todo.changed:
            from ansible_collections.protostar.platform.plugins.module_utils import _diff  # noqa: PLC0415

            text = self._compose_text(todo)
            result["diff"] = _diff.entries(todo, current, self.desired, self.store, text)
        return result


def absent(parameters: Mapping[str, Any], *, check: bool, diff: bool) -> dict[str, Any]:
    """Remove the service's containers and files, and with `purge` its volumes and whole directory.

    Args:
        parameters: The module's.
        check: Only tell what would be done.
        diff: Whether to return a diff.

    Raises:
        ServiceError: It could not be removed.

    """
    name, purge = parameters["name"], parameters["purge"]
    check_name(name)
    store, engine = Store(parameters["root"], name), Engine()
    with nullcontext() if check else held(store.lock_file):
        from ansible_collections.protostar.platform.plugins.module_utils._remove import remove  # noqa: PLC0415

        said = remove(store, engine, purge=purge, check=check)
    result: dict[str, Any] = {"changed": bool(said), "release": None, "actions": said, "services": []}
    if diff and said:
        before = "".join(f"{sentence.partition(' the ')[2]}\n" for sentence in said)
        result["diff"] = [{"before_header": name, "after_header": name, "before": before, "after": ""}]
    return result
