"""No secret is anywhere but in a file that its reader alone may open. What Ansible shows is looked at by `playbook`."""

import re
import secrets as random
import shlex
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from expected import HOSTS, ROOT
from secret_hunt import hunt, places

LAB = ROOT / "build/lab"
MACHINES = [*HOSTS, "protostar-relay"]
KEYS = """find /etc /opt/protostar -xdev -type f -size -16k -exec grep -lF 'PRIVATE KEY-----' {} + | xargs cat
cat /etc/wireguard/*.key 2>/dev/null; true"""
KEY = re.compile(r"-----BEGIN (.*)PRIVATE KEY-----\n(.*?)-----END", re.DOTALL)
# Puts a value wherever `docker run`, the shell and the usual programs can put one, and takes it away.
PLANT = r"""set -e; exec >/dev/null
value=$(cat)
image=$(docker inspect --format '{{.Image}}' redis)
script="echo $value; echo $value >/tmp/plant; sleep 300"
docker run --detach --name secrets-plant --env PLANT=$value $image sh -c "$script"
docker volume create --label plant=$value secrets-plant
docker run --rm --user 0 --volume secrets-plant:/plant $image sh -c "echo $value >/plant/plant"
docker commit --change "LABEL plant=$value" secrets-plant secrets-plant
logger "$value"
echo $value | tee -a /var/log/plant /var/tmp/plant /root/.plant_history /opt/protostar/services/plant.txt
nft add table inet plant "{ comment \"$value\"; }"
systemd-run --unit secrets-plant --setenv PLANT=$value sleep 300
"""
UPROOT = """systemctl stop secrets-plant; nft delete table inet plant; docker rm --force --volumes secrets-plant
docker rmi secrets-plant; docker volume rm secrets-plant
rm -f /var/log/plant /var/tmp/plant /root/.plant_history /opt/protostar/services/plant.txt"""
PLANTED = "what is planted"
# What only a service's own configuration could put there.
NOT_PLANTED = {"the configuration of nginx", "what services tell"}


def secret_lines(text):
    """A line that only its owner knows of every private key in a text; of OpenSSH's format the first half is public."""
    for kind, body in KEY.findall(text):
        lines = body.split()
        yield lines[len(lines) * 3 // 5 if kind == "OPENSSH " else 0]


@pytest.fixture(scope="module")
def hunted(secrets, machine):
    """Every secret and private key of the lab and its hosts, by name."""
    texts = {path: path.read_text() for path in LAB.glob("*/**/*") if path.is_file() and path.suffix != ".log"}
    texts |= {host: machine(host).check_output(KEYS) for host in MACHINES}
    found = {
        line: f"key {number} of {name}"
        for name, text in texts.items()
        for number, line in enumerate(secret_lines(text))
    }
    found |= {
        line: f"tunnel of {host}"
        for host in MACHINES
        for line in re.findall(r"^[\w+/]{43}=$", texts[host], re.MULTILINE)
    }
    found |= {path.read_text().strip(): path.parent.name for path in LAB.glob("certificates/*/password")}
    assert len(found) > 5
    return type(secrets)({**secrets, **{name: value for value, name in found.items()}})


@pytest.fixture(scope="module")
def found(ssh_config, hunted, main):
    """What was found, by host and place, with a value that is planted on main."""
    planting = ["ssh", "-F", str(ssh_config), "protostar-main", shlex.join(["sudo", "bash", "-c", PLANT])]
    planted = random.token_hex(16)
    try:
        subprocess.run(planting, input=planted, text=True, check=True)
        with ThreadPoolExecutor() as pool:
            values = type(hunted)({**hunted, PLANTED: planted})
            hunts = {host: pool.submit(hunt, ssh_config, host, values) for host in MACHINES}
        return {host: hunt.result() for host, hunt in hunts.items()}
    finally:
        main.run(UPROOT)


@pytest.mark.parametrize("host", MACHINES)
def test_no_secret_is_in_any_place_of(found, host):
    leaks = {place: set(names) - {PLANTED} for place, names in found[host].items()}
    assert {place: names for place, names in leaks.items() if names} == {}


def test_a_secret_would_be_found_in_every_place(found):
    seen = {place for place, names in found["protostar-main"].items() if PLANTED in names}
    assert seen == set(places("protostar-main")) - NOT_PLANTED


def test_no_secret_is_in_the_repository_its_history_its_package_or_a_log(hunted, tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of Git")
    every = ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    history = subprocess.run(every, cwd=ROOT, check=True, capture_output=True).stdout
    build = ["ansible-galaxy", "collection", "build", "--output-path", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        packed = b"".join(archive.extractfile(member).read() for member in archive if member.isfile())
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    logs = [*ROOT.glob("build/test/**/*"), *LAB.glob("logs/**/*"), *ROOT.glob(".ansible/tmp/**/*")]
    files = [path for path in [*(ROOT / name for name in tracked.split("\0") if name), *logs] if path.is_file()]
    read = {"history": history, "package": packed, "files": b"".join(path.read_bytes() for path in files)}
    assert [name for name, text in read.items() if b"platform_secrets" not in text] == []
    found = {(place, name) for place, text in read.items() for name, value in hunted.items() if value.encode() in text}
    assert found == set()


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
