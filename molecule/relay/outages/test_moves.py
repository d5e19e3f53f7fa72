"""The public address of home changes in the middle of a download."""

import contextlib
import time

import pytest
from line import OPS, PATH, PUBLIC

MOVED = "198.18.0.11"
TIME_TO_LIVE = 5  # seconds, as the lab's DNS says of home
NAME = "home.protostar.test"


@pytest.fixture
def home_moves(machine, router):
    """Give the router another public address, as a provider does, and the old one back afterwards."""
    device = router.check_output("ip -o -4 address show to 198.18.0.0/24 | awk '{print $2}'")

    def move(old, new):
        # Deleting an address takes the routes that need it.
        router.check_output(
            f"ip address del {old}/24 dev {device}; ip address add {new}/24 dev {device};"
            "ip route replace default via 198.18.0.2"
        )
        for name in ("protostar-isp", "protostar-relay", "protostar-client", "protostar-router"):
            machine(name).check_output("ip neigh flush all")

    @contextlib.contextmanager
    def moved():
        try:
            move(PUBLIC, MOVED)
            yield
        finally:
            move(MOVED, PUBLIC)

    return moved


@pytest.fixture
def known(machine):
    """Wait until the public DNS has that address for home."""

    def wait(address, seconds):
        deadline = time.monotonic() + seconds
        while machine("protostar-isp").check_output(f"dig +short {NAME} @127.0.0.1") != address:
            assert time.monotonic() < deadline, f"{NAME} is not {address} after {seconds} s"
            time.sleep(0.2)

    return wait


def test_a_forwarded_line_follows_the_name_of_home(home_moves, known, answers, download):
    # What becomes of the download is left to chance: its connection leads to an address that may come back in time.
    with download("4M") as running:
        time.sleep(2)
        assert running.running()
        with home_moves():
            # Sub's own updater tells the provider, which takes its interval.
            known(MOVED, 90)
            seconds = answers(60)
            assert seconds is not None
            assert seconds <= TIME_TO_LIVE + 5
        known(PUBLIC, 90)
        assert answers(TIME_TO_LIVE + 5) is not None


@pytest.mark.usefixtures("in_the_tunnel")
def test_the_tunnel_keeps_the_very_download(home_moves, download, large_file, curl):
    with download("4M") as running:
        time.sleep(2)
        assert running.running()
        with home_moves():
            during = curl("--max-time", "30", f"https://{OPS}{PATH}")
            running.__exit__()
    # With nothing under way, the relay learns of the next address when sub speaks; who comes meanwhile waits.
    after = curl("--max-time", "30", f"https://{OPS}{PATH}")
    assert (during.stdout, during.stderr) == (after.stdout, after.stderr) == ("ok\n", "")
    assert (running.code, running.error, running.digest) == (0, "", large_file[1])


@pytest.fixture(scope="module")
def in_the_tunnel(served):
    served("wireguard")
    yield
    served("forward")


@pytest.mark.usefixtures("in_the_tunnel")
def test_the_tunnel_needs_no_port_of_the_router_and_no_secret_leaves_its_end(router, sub, relay, answers, machine):
    keys = {}
    for name, host in (("sub", sub), ("relay", relay)):
        keys[name] = host.check_output("cat /etc/wireguard/protostar.key")
        assert host.check_output("stat -c '%a %U' /etc/wireguard/protostar.key") == "600 root"
        assert keys[name] not in host.check_output("cat /etc/wireguard/protostar.conf")
    assert keys["sub"] != keys["relay"]
    bundle = relay.check_output("cat /etc/protostar-relay/bundle.json /var/lib/protostar-relay/*.json")
    assert not [name for name, key in keys.items() if key in bundle]
    # The router leads nothing to sub any more.
    rule = router.check_output("nft -a list chain ip protostar_lab prerouting | grep 8443 | grep -o 'handle [0-9]*'")
    router.check_output(f"nft delete rule ip protostar_lab prerouting {rule}")
    try:
        assert answers(5) is not None
        # Nor does anybody at home reach the listener but by the tunnel.
        reach = "timeout 3 bash -c 'exec 3<>/dev/tcp/198.19.0.20/8443'"
        assert machine("protostar-main").run(reach).rc != 0
    finally:
        router.check_output("nft -f /etc/protostar-lab/router.nft")
