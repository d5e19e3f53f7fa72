"""What a host shows the other machine: PEM text from the inventory, or files that were made on the host."""

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.protostar.platform.plugins.module_utils._desired import options, release
from ansible_collections.protostar.platform.plugins.module_utils._observe import Container, Current
from ansible_collections.protostar.platform.plugins.module_utils._plan import plan
from ansible_collections.protostar.platform.plugins.module_utils._release import Record, Running, digest
from ansible_collections.protostar.platform.plugins.module_utils._secret_files import with_contents
from ansible_collections.protostar.platform.plugins.modules.service import ARGUMENTS

DOORS = {"nginx": {"nginx_peer_publish": "10.0.0.1:9443"}}
# Whether a new certificate is taken over by a reload.
ROLES = {"nginx": True, "prometheus": True, "promtail": False, "alloy": False}
PARTS = ("authority", "certificate", "key")


@pytest.fixture(params=ROLES)
def role(request):
    return request.param


@pytest.fixture
def ask(role, render):
    """ask(certificate, key): what the role asks of the service module."""

    def ask(certificate, key):
        values = dict(zip(PARTS, ("/authority is text", certificate, key), strict=True))
        return render(role, **DOORS.get(role, {}), **{f"{role}_peer_{part}": value for part, value in values.items()})

    return ask


def given(arguments):
    """What the secrets of the peer come from."""
    secrets = [entry for entry in arguments["secrets"] if entry["dest"].startswith("secrets/peer/")]
    return sorted((key, entry[key]) for entry in secrets for key in ("content", "src") if key in entry)


@pytest.mark.parametrize("certificate", ["-----BEGIN CERTIFICATE-----\nMIIB/zCCA\n", "/etc/pki/fullchain.pem"])
@pytest.mark.parametrize("key", ["-----BEGIN PRIVATE KEY-----\n/MIIB/zCCA\n", "/etc/pki/privkey.pem"])
def test_a_path_is_read_on_the_host_and_all_else_is_text(ask, certificate, key):
    kinds = [("src" if value.startswith("/etc") else "content", value) for value in (certificate, key)]
    assert given(ask(certificate, key)) == sorted([("content", "/authority is text"), *kinds])


def test_the_files_are_where_text_would_be(ask):
    text, paths = ask("CERTIFICATE", "KEY"), ask("/etc/pki/fullchain.pem", "/etc/pki/privkey.pem")
    places = [
        sorted((entry["dest"], entry.get("owner", 0)) for entry in arguments["secrets"]) for arguments in (text, paths)
    ]
    assert places[0] == places[1]
    assert text["compose"] == paths["compose"]
    assert text["files"] == paths["files"]


@pytest.mark.parametrize("changed", ["crt", "key"])
def test_what_is_made_anew_on_the_host_is_taken_over(role, ask, tmp_path, changed):
    for name in ("crt", "key"):
        (tmp_path / name).write_text(name)
    checked = ArgumentSpecValidator(ARGUMENTS).validate(ask(str(tmp_path / "crt"), str(tmp_path / "key")))
    assert checked.error_messages == []
    parameters = checked.validated_parameters
    before = release(with_contents(parameters, check=False))
    (tmp_path / changed).write_text("another")
    after = release(with_contents(parameters, check=False))
    todo = plan(running(before), after, options(parameters, after).reload)

    [dest] = todo.write
    assert dest.endswith(changed)
    assert todo.reload == ((dest,) if ROLES[role] else ())
    assert list(todo.recreate) == ([] if ROLES[role] else [role])


def running(released):
    """A host on which this is released, and has not been touched since."""
    containers = {name: Running(name, name, "sha256:1", "", (), ()) for name in released.services}
    record = Record(
        id=1,
        digest=released.digest,
        created="",
        compose=digest(released.compose),
        compose_file="text",
        definitions=released.definitions,
        files=released.seals,
        containers=containers,
    )
    found = {
        name: Container(
            service=name, running=entry, state="running", health="healthy", exit_code=0, oom_killed=False, restarts=0
        )
        for name, entry in containers.items()
    }
    return Current(record=record, compose="text", files=released.seals, containers=found)
