"""The relay has one key of its own, and no password of anybody's; what it has is where root alone reads it."""

import pytest

KEY = "/etc/protostar-relay/peer/peer.key"
PLACES = {
    "processes": "ps -eww -o args; cat /proc/[0-9]*/environ",
    "journal": "journalctl --no-pager --lines 20000",
    "files that others may read": """find /etc /tmp /var/tmp /var/lib /run/protostar-relay /home /root -xdev \\
        -type f -perm /077 -size -1024k -exec cat {} +""",
    "configurations": "cat /etc/protostar-relay/*.json /etc/nginx/nginx.conf",
    "reports": "cat /var/lib/protostar-relay/*.json /run/protostar-relay/metrics.prom",
}


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_in(relay, secrets, place):
    # The key as Ansible or a journal would show it: any line of it is enough.
    key = relay.check_output(f"sed -n 2p {KEY}")
    assert len(key) > 30
    shown = relay.run(f"({PLACES[place]}) 2>/dev/null | tr -cd '[:print:]\\n'").stdout
    assert shown
    assert key not in shown
    assert [name for name, value in secrets.items() if value in shown] == []


def test_only_root_opens_the_key(relay):
    assert relay.check_output(f"stat -c '%a %U' {KEY}") == "600 root"
    assert relay.check_output("stat -c '%a %U' /etc/protostar-relay/peer") == "700 root"


def test_no_password_is_on_the_relay_at_all(relay, secrets):
    text = relay.run("grep -rhaE '^.{8,}$' /etc /var/lib/protostar-relay /usr/local /home /root 2>/dev/null").stdout
    assert "protostar" in text
    assert [name for name, value in secrets.items() if value in text] == []
