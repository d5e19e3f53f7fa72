"""What the tests of this scenario share: what the hosts hold, and who asks them."""

import json
import time

import pytest

# Files, modes, owners and contents of all services, and every container, with when it started and how often.
LOOK = r"""cd /opt/protostar/services
find . -mindepth 1 ! -name '*.lock' -printf '%p %y %m %U\n'
find . -type f ! -name '*.lock' -exec sha256sum {} +
docker ps --all --quiet | xargs docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}} {{.RestartCount}}'
docker volume ls --quiet
docker network ls --quiet
"""


@pytest.fixture(scope="session")
def containers(main, sub):
    """What the engine says of every container, by host and name."""
    return {
        host: {
            container["Name"].lstrip("/"): container
            for container in json.loads(machine.check_output("docker ps --all --quiet | xargs docker inspect"))
        }
        for host, machine in (("protostar-main", main), ("protostar-sub", sub))
    }


@pytest.fixture
def live(main):
    """The name of the containers and the directory of an application's live colour, by the name of the application."""

    def live(app):
        pools = json.loads(main.check_output("cat /opt/protostar/edge/pools.json"))["apps"]
        return f"{app}-{pools.get(app, {'live': 'green'})['live']}"

    return live


@pytest.fixture(scope="session")
def look(main, sub):
    """Describe everything that a playbook could have changed on a host."""
    return lambda: {
        f"{host}: {line}"
        for host, machine in (("main", main), ("sub", sub))
        for line in machine.check_output(LOOK).splitlines()
    }


@pytest.fixture(scope="session")
def scraped(sub):
    """Wait until Prometheus has these jobs and sees every target up, which after a deploy takes a scrape."""

    def targets(*jobs):
        deadline, found = time.monotonic() + 60, []
        while time.monotonic() < deadline:
            answer = sub.run("curl -sS http://127.0.0.1:9090/api/v1/targets?state=active").stdout
            found = json.loads(answer)["data"]["activeTargets"] if answer.startswith("{") else []
            known = {target["labels"]["job"] for target in found}
            if found and set(jobs) <= known and all(target["health"] == "up" for target in found):
                break
            time.sleep(1)
        return found

    return targets


@pytest.fixture(scope="session")
def line(load):
    """The service line: client, router, TLS, nginx, FastAPI, and from there PostgreSQL and Redis."""
    return lambda: load("protostar-client", "https://www.protostar.test/api/fastapi/ready")
