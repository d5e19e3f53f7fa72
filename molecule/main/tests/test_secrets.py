"""No secret is anywhere but in a file that its reader alone may open. What Ansible shows is looked at by `playbook`."""

import pytest
from expected import HOSTS

PLACES = {
    "containers": "docker ps --all --quiet | xargs docker inspect",
    "images": """docker images --quiet | sort -u | xargs docker inspect
        docker images --quiet | xargs -n 1 docker history --no-trunc""",
    "processes": "ps -eww -o args; cat /proc/[0-9]*/environ",
    "logs": """docker ps --all --format '{{.Names}}' | xargs -n 1 docker logs --tail 2000 2>&1
        journalctl --no-pager --lines 20000""",
    "Compose files and records": """find /opt/protostar -name '*.yaml' -exec cat {} +
        find /opt/protostar -name '*.json' -not -path '*/secrets/*' -exec cat {} +""",
    "files that others may read": """find /opt/protostar /etc /tmp /var/tmp /home /root -xdev \\
        -type f -perm /077 -size -1024k -exec cat {} +""",
    "files of Ansible": "find /root/.ansible /home/*/.ansible -type f -exec cat {} +",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("host", HOSTS)
def test_no_secret_is_in(machine, secrets, host, place):
    shown = machine(host).run(f"({PLACES[place]}) 2>/dev/null | tr -cd '[:print:]\\n'").stdout
    assert shown or place == "files of Ansible"
    assert [name for name, value in secrets.items() if value in shown] == []


@pytest.mark.parametrize("host", HOSTS)
def test_only_its_reader_opens_a_secret(machine, host):
    listed = (
        machine(host)
        .check_output(
            "find /opt/protostar/services -path '*/secrets/*' -type f -printf '%m %p\\n'; "
            "find -L /etc/protostar/certificates -name privkey.pem -printf '%m %p\\n'"
        )
        .splitlines()
    )
    assert listed
    assert [line for line in listed if line.split()[0] not in ("400", "600")] == []


def test_the_secrets_are_on_the_hosts_at_all(main, sub, secrets):
    """Or the tests above would look for nothing."""
    find = "find /opt/protostar/services -path '*/secrets/*' -type f -exec cat {} +"
    kept = main.check_output(find) + sub.check_output(find)
    # The users' passwords are kept by those who use them; the stores have hashes, and so has nginx of its operator's
    # password and of the secret of previews.
    elsewhere = {"ops_operator", "preview", "ddns"}
    assert {name for name, value in secrets.items() if value in kept} == set(secrets) - elsewhere
    # ddclient is the host's own, and no container's.
    assert secrets["ddns"] in sub.check_output("cat /etc/ddclient-protostar.conf")
    assert sub.check_output("stat -c %a /etc/ddclient-protostar.conf") == "600"
