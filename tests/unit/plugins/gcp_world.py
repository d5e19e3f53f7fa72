"""A relay in the fake project, without a network, an hour in a moment, and killed at any request."""

import copy
import sys
from pathlib import Path

from ansible_collections.protostar.platform.plugins.module_utils._gce_apply import converge
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import relay
from ansible_collections.protostar.platform.plugins.module_utils._gce_http import Http
from ansible_collections.protostar.platform.plugins.module_utils._gce_session import Session
from ansible_collections.protostar.platform.plugins.modules.gcp_l4_relay import ARGUMENTS

sys.path.insert(0, str(Path(__file__).parents[2]))
from compute_fake.fake import ZONES, Fake, serve

PROJECT, ZONE, REGION, NAME = "shop-1234", "us-west1-b", "us-west1", "protostar-relay"
KEYS = {
    "networks": NAME,
    "subnetworks": f"{REGION}/{NAME}",
    "addresses": f"{REGION}/{NAME}",
    "disks": f"{ZONE}/{NAME}",
    "instances": f"{ZONE}/{NAME}",
}


class Killed(BaseException):
    """The controller lost its power here."""


class Time:
    """A clock that sleeping moves."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Wire(Http):
    """Sends requests to the fake. The one with the number `moment` kills the run: before it is sent, or after."""

    def __init__(self, fake, moment=None, *, after=False):
        super().__init__(fake.session())
        self.moment = moment
        self.after = after
        self.sent = 0

    def send(self, *arguments):
        self.sent += 1
        if self.sent == self.moment and not self.after:
            raise Killed
        answer = super().send(*arguments)
        if self.sent == self.moment:
            raise Killed
        return answer


def options(**given):
    """The module's arguments, with their defaults."""
    defaults = {name: copy.deepcopy(spec.get("default")) for name, spec in ARGUMENTS.items()}
    return {**defaults, "project": PROJECT, "region": REGION, **given}


def declared(**given):
    """The relay as declared."""
    return relay(options(**given))


def project(**given):
    """A fake project."""
    return Fake(PROJECT, ZONES, **given)


def served():
    """A fake project behind a port."""
    return serve(project=PROJECT, zones=ZONES)


def run(fake, *, check=False, moment=None, after=False, timeout=600, time=None, wire=None, **given):
    """Run the module's work; return what came of it, with the session as `session`."""
    time = time or Time()
    session = Session(
        wire or Wire(fake, moment, after=after),
        fake.endpoint,
        project=PROJECT,
        zone=ZONE,
        timeout=timeout,
        sleep=time.sleep,
        clock=lambda: time.now,
        chance=lambda: 0.0,
    )
    outcome = converge(declared(**given), session, absent=given.get("state") == "absent", check=check)
    outcome.session = session
    return outcome


def mine(fake, collection):
    """A resource of the relay's name; None if it does not exist."""
    return fake.world.resources[collection].get(KEYS[collection])


def writes(fake):
    """The requests that changed something, as method and path after the project."""
    return [(entry.method, entry.path.split(f"/{PROJECT}/")[1]) for entry in fake.requests if not entry.read]
