"""The one test that speaks to Google. Off by default, since it needs an account and makes a machine for some minutes.

    PROTOSTAR_LIVE_PROJECT=shop-1234 scripts/unit -k live

It makes a relay of its own name in that project, changes it, lets the second run find nothing to do, and removes it
again, also after a failure. The fake (tests/compute_fake) is written from Google's documentation; this shows whether
Google agrees.

- PROTOSTAR_LIVE_PROJECT: ID of a project with billing and the Compute Engine API; nothing else is needed in it.
- PROTOSTAR_LIVE_REGION: default us-west1.
- PROTOSTAR_LIVE_CREDENTIALS: file of credentials; default are the application default credentials.

Cost: nothing where the free tier has hours left, else about a cent. It refuses nothing that costs (guard_free_tier is
off), so that it also runs beside a relay that is in use.
"""

import os
import secrets

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _gce_http
from ansible_collections.protostar.platform.plugins.module_utils._gce_apply import converge
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import relay
from ansible_collections.protostar.platform.plugins.module_utils._gce_session import Session
from gcp_world import options

PROJECT = os.environ.get("PROTOSTAR_LIVE_PROJECT", "")
REGION = os.environ.get("PROTOSTAR_LIVE_REGION", "us-west1")
CREDENTIALS = os.environ.get("PROTOSTAR_LIVE_CREDENTIALS") or None

pytestmark = pytest.mark.skipif(
    not PROJECT, reason="speaks to Google: set PROTOSTAR_LIVE_PROJECT to a project's ID to run it"
)


def run(name, *, check=False, **given):
    """Run the module's work on the live project; return what came of it and the session."""
    declared = relay(options(project=PROJECT, region=REGION, name=name, guard_free_tier=False, **given))
    address = options()["api_endpoint"]
    where = declared.place
    session = Session(
        _gce_http.connect(address, CREDENTIALS), address, project=where.project, zone=where.zone, timeout=900
    )
    return converge(declared, session, absent=given.get("state") == "absent", check=check), session


def test_google_agrees_with_the_fake():
    name = f"protostar-live-{secrets.token_hex(3)}"
    try:
        planned, session = run(name, check=True)
        assert session.writes == 0
        made, _session = run(name)
        assert made.actions == planned.actions
        assert made.notes == []
        again, session = run(name)
        assert (again.actions, session.writes) == ([], 0)
        changed = {"ssh": "iap", "udp_ports": [51820], "labels": {"live": "yes"}, "metadata": {"protostar-relay": "{}"}}
        assert run(name, **changed)[0].actions
        assert run(name, **changed)[0].actions == []
        larger = {**changed, "machine_type": "e2-small", "network_tier": "premium", "disk_size": 11}
        assert run(name, **larger)[0].actions
        assert run(name, **larger)[0].actions == []
    finally:
        gone, _session = run(name, state="absent")
    assert gone.notes == []
    assert run(name, state="absent")[0].actions == []
