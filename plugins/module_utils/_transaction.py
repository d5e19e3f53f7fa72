# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The transaction: prepare beside what runs, switch, wait, commit; on any failure put the previous release back.

Every step that changes what is live is in the journal before it is taken, so that the next run can undo or finish the
work of one that was killed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import asdict, replace

from ansible_collections.protostar.platform.plugins.module_utils import _files, _preflight
from ansible_collections.protostar.platform.plugins.module_utils._compose import Compose, ComposeError
from ansible_collections.protostar.platform.plugins.module_utils._composefile import render
from ansible_collections.protostar.platform.plugins.module_utils._deployment import Deployment, now
from ansible_collections.protostar.platform.plugins.module_utils._desired import Options
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._journal import PREPARE, SWITCH, Entry
from ansible_collections.protostar.platform.plugins.module_utils._observe import Current, images
from ansible_collections.protostar.platform.plugins.module_utils._plan import COMPOSE, Plan
from ansible_collections.protostar.platform.plugins.module_utils._rehearsal import Copies
from ansible_collections.protostar.platform.plugins.module_utils._release import Record, Release, digest
from ansible_collections.protostar.platform.plugins.module_utils._restore import abandon, undo

_REMEDY = "correct this and run again"


class Transaction:
    """One change of a service, from what is on the host to the desired release.

    Args:
        deployment: The service on this host.
        desired: The desired release.
        options: How to get there.
        current: What is on the host.
        plan: What to do.
        compose: The text of compose.yaml.

    """

    def __init__(
        self, deployment: Deployment, desired: Release, options: Options, *, current: Current, plan: Plan, compose: str
    ) -> None:
        self._deployment = deployment
        self._store = deployment.store
        self._desired = desired
        self._options = options
        self._current = current
        self._plan = plan
        self._compose = compose
        record = current.record
        reload = options.reload if plan.reload else None
        new = self._store.next_id(record) if record is None or plan.release else record.id
        self._entry = Entry(
            phase=PREPARE,
            release=new,
            previous=record.id if record else None,
            services=tuple(sorted({*plan.recreate, *plan.start, *([reload.service] if reload else [])})),
            volumes=tuple(sorted(deployment.engine.volumes(desired.name))),
            reload=asdict(reload) if reload else None,
        )

    def run(self) -> Record:
        """Carry the plan out, and return the release then in force.

        Raises:
            ServiceError: It failed; the sentence says why, and what is in force now.

        """
        if self._entry.repair:
            return self._repair()
        try:
            self._prepare()
        except Exception as error:
            abandon(self._deployment, self._entry)
            raise ServiceError(
                f"the new release was not started: {reason(error)}; {self._untouched()}: {_REMEDY}"
            ) from error
        entry = replace(self._entry, phase=SWITCH)
        self._deployment.journal.write(entry)
        try:
            record = self._switch()
        except Exception as error:
            raise ServiceError(
                f"release {entry.release} failed: {reason(error)}; {self._undo(entry)}: {_REMEDY}"
            ) from error
        self._deployment.journal.close()
        self._store.prune(record.id, self._options.keep)
        return record

    def _undo(self, entry: Entry) -> str:
        try:
            return undo(self._deployment, entry)
        except (ServiceError, OSError) as error:
            return f"putting the previous state back failed as well ({error}), and the next run finishes it"

    def _repair(self) -> Record:
        """Put the release in force back in order. A failure leaves the journal, and the next run tries again."""
        try:
            _preflight.check(self._desired, self._deployment.engine)
            self._deployment.journal.write(replace(self._entry, phase=SWITCH))
            record = self._switch()
        except Exception as error:
            raise ServiceError(
                f"release {self._entry.release} could not be repaired: {reason(error)}; {_REMEDY}"
            ) from error
        self._deployment.journal.close()
        return record

    def _prepare(self) -> None:
        """Do everything that can fail without touching what runs."""
        deployment, store = self._deployment, self._store
        _preflight.check(self._desired, deployment.engine)
        _preflight.check_disk(self._desired, store)
        _files.make_directory(store.root, 0o755)
        _files.make_directory(store.directory)
        deployment.journal.write(self._entry)
        _files.make_directory(store.staging)
        for file in self._desired.files:
            _files.put(store.staging, file)
        _files.write(store.staging / COMPOSE, self._compose)
        try:
            deployment.staged().check()
        except ComposeError as error:
            raise ServiceError(f"Compose rejects the file: {error}") from None
        self._bring_images(deployment.staged())
        self._validate()
        self._rehearse()
        deployment.clear_copies()
        store.keep(self._entry.release, self._compose, self._desired.files)

    def _bring_images(self, compose: Compose) -> None:
        """Bring the images that are missing, and undo tags that moved since they were released."""
        if self._current.record:
            wanted = {str(service["image"]) for service in self._desired.services.values()}
            known = self._current.record.images
            self._deployment.pin({reference: known[reference] for reference in wanted & set(known)})
        missing = self._services_with(self._plan.pull)
        if missing:
            try:
                compose.pull(missing)
            except ComposeError as error:
                raise ServiceError(f"cannot pull {' and '.join(self._plan.pull)}: {error}") from None

    def _services_with(self, references: Iterable[str]) -> list[str]:
        wanted = set(references)
        return [name for name, service in self._desired.services.items() if str(service["image"]) in wanted]

    def _copies(self, services: Iterable[str]) -> Copies:
        engine = self._deployment.engine
        found = {name: engine.image(str(self._desired.services[name]["image"])) for name in services}
        health = {name: (image["Config"] or {}).get("Healthcheck") or {} for name, image in found.items() if image}
        return Copies(self._desired, str(self._store.staging), engine.networks(), health)

    def _validate(self) -> None:
        """Have the new images judge the staged files."""
        commands = [command for command in self._options.validate if command.service in self._entry.services]
        if not commands:
            return
        _files.write(self._store.staging / "validate.yaml", render(self._copies([]).validation(commands)))
        for number, command in enumerate(commands):
            try:
                self._deployment.copies("validate.yaml").run(f"validate-{number}", self._options.ready.timeout)
            except ComposeError as error:
                raise ServiceError(
                    f"'{' '.join(command.command)}' in the image of {command.service} says: {error}"
                ) from None

    def _rehearse(self) -> None:
        """Start throw-away copies of what would replace running containers, and wait until they are ready."""
        containers = self._current.containers
        threatened = any(containers[name].state == "running" for name in self._plan.recreate)
        if not (self._options.rehearse and threatened):
            return
        services = [*self._plan.recreate, *self._plan.start]
        _files.write(self._store.staging / "rehearsal.yaml", render(self._copies(services).rehearsal(services)))
        try:
            self._deployment.rehearse("rehearsal.yaml", services)
        except ServiceError as error:
            raise ServiceError(f"in rehearsal, {error}") from error

    def _switch(self) -> Record:
        """Make the files live, bring the containers up from them, and commit."""
        deployment, store, plan = self._deployment, self._store, self._plan
        for dest in plan.remove:
            _files.remove(store.directory / dest)
        for file in self._desired.files:
            if file.dest in plan.write:
                _files.put(store.directory, file)
        if COMPOSE in plan.write:
            _files.write(store.compose_file, self._compose)
        if self._entry.repair:
            self._bring_images(deployment.compose())
        if self._entry.reload:
            deployment.reload(self._entry.reload)
        if plan.recreate or plan.start or plan.orphans:
            deployment.up(plan.recreate, self._desired.services, self._current.containers)
        deployment.wait(self._desired.services, self._current.containers)
        if plan.provision:
            self._provision()
        record = self._record()
        store.commit(record)
        return record

    def _provision(self) -> None:
        for command in self._desired.provision:
            try:
                self._deployment.compose().execute(command.service, command.command, self._options.ready.timeout)
            except ComposeError as error:
                raise ServiceError(
                    f"provision '{' '.join(command.command)}' in {command.service} says: {error}"
                ) from None

    def _record(self) -> Record:
        desired = self._desired
        previous = self._current.record
        return Record(
            id=self._entry.release,
            digest=desired.digest,
            created=previous.created if previous and self._entry.repair else now(),
            compose=digest(desired.compose),
            compose_file=digest(self._compose),
            definitions=desired.definitions,
            images=images(self._deployment.engine, [str(service["image"]) for service in desired.services.values()]),
            files=desired.seals,
            containers={
                name: container.running
                for name, container in self._deployment.containers().items()
                if name in desired.services
            },
        )

    def _untouched(self) -> str:
        """Tell what still runs, truthfully."""
        record = self._current.record
        if record is None:
            return "nothing was changed"
        now_running = self._deployment.containers()
        running = all(name in now_running and now_running[name].state == "running" for name in record.containers)
        return f"the previous release {record.id} {'is still running' if running else 'was left as it was'}"


def reason(error: Exception) -> str:
    """Put an error into a sentence."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'no space left'})"
    if isinstance(error, (ServiceError, OSError)):
        return str(error)
    return f"{type(error).__name__}: {error} (a fault of this module: please report it)"
