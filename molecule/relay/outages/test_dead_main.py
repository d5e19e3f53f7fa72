"""The management line lives when main is dead, and shows it."""

import subprocess
import time

from line import OPS, PATH


def test_the_line_lives_when_main_is_dead(curl, answers, ask_sub, load):
    www = "https://www.protostar.test/api/fastapi/ready"
    assert curl("--output", "/dev/null", "--write-out", "%{http_code}", www).stdout == "200"
    with load("protostar-client", f"https://{OPS}{PATH}") as requests:
        subprocess.run(["docker", "stop", "--time", "60", "protostar-main"], check=True, capture_output=True)
        try:
            assert answers(5) is not None
            assert curl("--max-time", "3", www).rc != 0
            deadline = time.monotonic() + 60
            down = []
            while not down and time.monotonic() < deadline:
                down = [metric for metric, value in ask_sub('up{job="node",instance="main"} == 0') if value == 0]
                time.sleep(1)
            assert down, "main is not shown as down"
        finally:
            subprocess.run(["docker", "start", "protostar-main"], check=True, capture_output=True)
        # Nobody helps: the machine boots, its engine starts what was running.
        deadline = time.monotonic() + 180
        while curl("--output", "/dev/null", "--write-out", "%{http_code}", www).stdout != "200":
            assert time.monotonic() < deadline, "the service line did not come back"
            time.sleep(1)
    assert requests.failed == []
    assert requests.done > 50
