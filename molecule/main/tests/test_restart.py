"""A machine that restarts comes back by itself, without Ansible."""

import subprocess
import time

from expected import HOSTS
from scans import MAIN, OPEN, PUBLIC, assert_open_is_what_is_declared


def test_main_is_back_two_minutes_after_a_restart(main, client, look, playbook):
    # A reload comes first: an engine that was asked to send a signal no longer starts that container at boot.
    main.check_output("echo '# by hand' >> /opt/protostar/services/nginx/config/sites.conf")
    reloaded = playbook("main", "--tags", "nginx")
    assert (reloaded.code, reloaded.total("changed")) == (0, 1), reloaded.text

    # Everything but the containers' starts, which a restart is about.
    before = {line for line in look() if " ./" in line or line.startswith("main: .")}
    subprocess.run(["docker", "restart", "--time", "30", "protostar-main"], check=True, capture_output=True)
    deadline, healthy, page = time.monotonic() + 120, "", None
    while time.monotonic() < deadline:
        try:
            healthy = main.run("docker ps --filter health=healthy --format '{{.Names}}'").stdout
            page = client.run("curl -sS --max-time 5 https://www.protostar.test/").stdout
        except RuntimeError:  # testinfra: ssh does not answer yet
            pass
        if set(HOSTS["protostar-main"]) <= set(healthy.split()) and 'data-state="done"' in (page or ""):
            break
        time.sleep(1)
    assert set(HOSTS["protostar-main"]) <= set(healthy.split())
    assert 'id="documents" data-state="ok"' in page
    assert 'id="job" data-state="done"' in page
    assert {line for line in look() if " ./" in line or line.startswith("main: .")} == before
    # The rules stand again, before what the engine publishes.
    assert_open_is_what_is_declared([(place, target) for place, target in OPEN if target in (MAIN, PUBLIC)])
