"""Looks for values in every place of a host where a secret must not be. They come to it on its input alone."""

import shlex
import subprocess

# A place: what is to be read there, and a word that it always has, so that a command which says nothing is noticed.
# Files that only their owner may read are none. The processes of the containers are among the host's.
EVERYWHERE = {
    "processes": ("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ", "sshd"),
    "the journal": ("journalctl --no-pager --output export --lines 50000", "MESSAGE"),
    "/var/log": (
        "find /var/log -type f ! -path '*/journal/*' -exec cat {} +; find /var/log -name '*.gz' -exec zcat {} +; "
        "echo end",
        "end",
    ),
    # Packages hold none, and are most of what there is.
    "files that others may read": (
        "find / /tmp /run /dev/shm -xdev -type f -perm /077 ! -path '/proc/*' ! -path '/sys/*' ! -path '/usr/lib/*' "
        "! -path '/usr/share/*' ! -path '/usr/bin/*' ! -path '/var/lib/dpkg/*' ! -path '/var/lib/apt/*' "
        "! -path '/var/log/journal/*' ! -path '/run/log/journal/*' -size -4096k -exec cat {} +",
        "root:x:0:0",
    ),
    "histories of shells": ("cat /root/.*history /home/*/.*history /var/lib/*/.*history; echo shell", "shell"),
    "files of Ansible": ("find /root/.ansible /home/*/.ansible /tmp /var/tmp -type f -exec cat {} +; echo end", "end"),
    "rules": ("nft list ruleset; iptables-save; echo chain", "chain"),
    "units": ("systemctl show '*' --property ExecStart --property Environment --property Description", "Description"),
}  # fmt: skip
WITH_ENGINE = {
    "containers": ("docker ps --all --quiet | xargs docker inspect", "nginx"),
    "images": ("docker images --all --quiet | sort -u | xargs docker image inspect", "Layers"),
    "histories of images": ("docker images --quiet | sort -u | xargs -n 1 docker history --no-trunc", "CREATED"),
    "volumes and networks": (
        "docker volume ls -q | xargs docker volume inspect; docker network ls -q | xargs docker network inspect",
        "protostar",
    ),
    "logs of containers": ("docker ps --all --format '{{.Names}}' | xargs -n 1 docker logs --tail 5000", "nginx"),
    "writable layers": (
        "docker ps --all --quiet | xargs docker inspect --format '{{.GraphDriver.Data.UpperDir}}' | "
        "xargs -I DIRECTORY find DIRECTORY -type f -perm /077 -size -4096k -exec cat {} +; echo layers", "layers",
    ),
    "volumes": (
        "find /var/lib/docker/volumes -type f -perm /077 -size -16384k -exec cat {} +; echo volumes", "volumes",
    ),
    "Compose files and records": (
        "find /opt/protostar ! -path '*/secrets/*' -type f ! -name pools.json -exec cat {} +", "services:",
    ),
    "the configuration of nginx": ("docker exec nginx nginx -T -c /etc/nginx/protostar/nginx.conf", "server_name"),
    # Whatever a service tells of itself, asked at every address and port that its network sees.
    "what services tell": (
        "for address in $(docker ps --quiet | xargs docker inspect --format "
        "'{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}'); do "
        "for port in 3000 3100 8080 9080 9090 9093 9100 9113 9115 9121 9187 12345; do "
        "timeout 1 bash -c \"</dev/tcp/$address/$port\" && for path in metrics config api/v1/status/config "
        "api/v1/status/flags api/v2/status api/frontend/settings debug/pprof/cmdline; do "
        "curl -sS --max-time 3 http://$address:$port/$path; done; done; done",
        "go_goroutines",
    ),
}  # fmt: skip
# Reads the values once; printf is the shell's own, so that no process has them as an argument.
LOOK = """values=$(cat)
look() { tr -s '\\0' '\\n' | grep -aoF -f <(printf '%s\\n' "$values" "$2") | sort -u | sed "s|^|$1\\t|"; }
"""


def places(host):
    """The places of a host."""
    return EVERYWHERE if host == "protostar-relay" else EVERYWHERE | WITH_ENGINE


def hunt(ssh_config, host, values, only=None):
    """Return the names of those `values` that were found, by place.

    Args:
        ssh_config: How the host is reached.
        host: Its name.
        values: What is looked for, by name; a line each, and none a part of another.
        only: The places, if not all.

    """
    chosen = {place: found for place, found in places(host).items() if only is None or place in only}
    script = LOOK + "".join(
        f"{{ {command}; }} </dev/null 2>&1 | look '{place}' '{word}'\n" for place, (command, word) in chosen.items()
    )
    command = ["ssh", "-F", str(ssh_config), host, shlex.join(["sudo", "bash", "-c", script])]
    done = subprocess.run(
        command, input="\n".join(values.values()), capture_output=True, text=True, errors="replace", check=False
    )
    seen = {tuple(line.split("\t", 1)) for line in done.stdout.splitlines()}
    silent = [place for place, (_, word) in chosen.items() if (place, word) not in seen]
    assert not silent, f"{host} says nothing of {silent}: {done.stderr}"
    found = {place: sorted(name for name, value in values.items() if (place, value) in seen) for place in chosen}
    return {place: names for place, names in found.items() if names}
