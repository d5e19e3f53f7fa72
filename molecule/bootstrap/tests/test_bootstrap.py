"""Both hosts, after the roles ran and after every refusal."""

import base64
import re
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).parents[3] / "roles/bootstrap"
DEB = "/tmp/wants-snap.deb"


@pytest.fixture(scope="module")
def installed(host):
    """What apt would do, without the pin, to install a package that recommends snapd; then it is installed.

    Meanwhile a restart is due, as an upgrade may leave it.
    """
    host.check_output(
        "mkdir -p /tmp/wants-snap/DEBIAN && printf 'Package: wants-snap\\nVersion: 1\\nArchitecture: all\\n"
        "Maintainer: protostar <root@protostar.test>\\nRecommends: snapd\\nDescription: test\\n' "
        f"> /tmp/wants-snap/DEBIAN/control && dpkg-deb --build /tmp/wants-snap {DEB}"
    )
    unpinned = host.check_output(f"apt-get -o Dir::Etc::PreferencesParts=/dev/null --simulate install {DEB}")
    host.check_output("mkdir -p /var/lib/protostar/metrics && touch --date=@1700000000 /run/reboot-required")
    host.check_output(f"apt-get --yes install {DEB}")
    yield unpinned
    host.check_output("rm /run/reboot-required && apt-get --yes purge wants-snap")


def test_snap_is_gone(host):
    assert not host.package("snapd").is_installed
    for path in ("/snap", "/var/snap", "/var/lib/snapd", "/var/cache/snapd", "/home/protostar/snap"):
        assert not host.file(path).exists
    assert "/snap" not in host.check_output("cat /proc/self/mountinfo")


def test_a_directory_that_only_has_snaps_name_stays(host):
    assert host.file("/root/snap/photographs").is_directory


def test_snap_stays_gone_when_a_package_recommends_it(host, installed):
    # Without the pin apt would bring it: otherwise this test would prove nothing.
    assert "Inst snapd " in installed
    assert host.package("wants-snap").is_installed
    assert not host.package("snapd").is_installed


def test_a_restart_that_is_due_becomes_a_metric(host, installed):
    written = host.file("/var/lib/protostar/metrics/reboot.prom").content_string
    assert written == "protostar_reboot_required_time_seconds 1700000000\n"


def test_sshd_refuses_passwords_whatever_the_cloud_image_says(host):
    effective = host.check_output("sshd -T").splitlines()
    assert "passwordauthentication no" in effective
    assert "kbdinteractiveauthentication no" in effective
    assert "permitrootlogin without-password" in effective
    assert not [line for line in effective if line.startswith("allowusers")]


def test_sshd_offers_no_algorithm_that_upstream_gave_up(host):
    effective = dict(line.split(" ", 1) for line in host.check_output("sshd -T").splitlines() if " " in line)
    offered = effective["macs"].split(",") + effective["kexalgorithms"].split(",")
    assert not [name for name in offered if re.search("sha1|umac-64|^diffie-hellman", name)]
    assert {"curve25519-sha256", "hmac-sha2-256-etm@openssh.com"} <= set(offered)


def test_keys_are_asked_for_where_a_forgotten_match_block_allows_passwords(host):
    # sshd's own words on what it would do; its files are read in this order on the host too.
    config = "Include /etc/ssh/sshd_config.d/00-protostar.conf\\nMatch User protostar\\n  PasswordAuthentication yes\\n"
    asked = "user=protostar,host=elsewhere,addr=192.0.2.1"
    effective = host.check_output(
        f"printf '{config}' > /tmp/sshd_config && sshd -T -f /tmp/sshd_config -C {asked}"
    ).splitlines()
    assert "passwordauthentication yes" in effective
    assert "authenticationmethods publickey" in effective


def test_a_login_without_key_is_told_that_only_keys_are_taken(host):
    options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PubkeyAuthentication=no"
    said = host.check_output(f"ssh {options} protostar@localhost echo let in 2>&1 || true")
    assert "let in" not in said
    assert "Permission denied (publickey)." in said


def test_the_hour_is_the_zones(host):
    hours = host.check_output("date --utc -d 2026-07-01T12:00Z +%H; date -d 2026-07-01T12:00Z +%H")
    assert hours.split() == ["12", "14"]


def test_time_is_kept_from_every_boot_on(host):
    daemon, servers = {
        "12": ("chrony", "cat /etc/chrony/sources.d/*.sources"),
        "13": ("systemd-timesyncd", "systemd-analyze cat-config systemd/timesyncd.conf"),
    }[host.system_info.release.partition(".")[0]]
    assert host.service(daemon).is_enabled
    assert "ntp.protostar.test" in host.check_output(servers)


def test_the_locale_exists(host):
    locale = host.check_output(". /etc/default/locale && echo $LANG")
    # A locale that is missing is warned of, and falls back to C.
    said = host.run(f"LC_ALL={locale} locale charmap")
    assert (said.stdout.strip(), said.stderr) == ("UTF-8", "")


def test_nothing_failed(host):
    assert not host.check_output("systemctl --failed --no-legend")


def test_services_get_the_open_files_they_need(host):
    highest = int(host.check_output("awk '/^Max open files/ {print $5}' /proc/1/limits"))
    # The shell of systemd-run is a service like any other.
    assert host.check_output("systemd-run --quiet --pipe --wait sh -c 'ulimit -n'") == str(min(65536, highest))


def test_the_journal_is_kept_and_bounded(host):
    assert host.check_output("journalctl --header | grep --max-count=1 '^File path'").startswith(
        "File path: /var/log/journal/"
    )
    config = host.check_output("systemd-analyze cat-config systemd/journald.conf").splitlines()
    assert [line for line in config if line.startswith("SystemMaxUse=")] == ["SystemMaxUse=1G"]


def test_only_security_updates_install_themselves(host):
    script = "LC_ALL=C /usr/bin/unattended-upgrade --dry-run --debug | grep '^Allowed origins'"
    origins = host.check_output(script)
    assert "-security" in origins
    assert "${" not in origins
    assert origins.count("origin=") == 1
    assert 'Unattended-Upgrade "1"' in host.check_output("apt-config dump APT::Periodic")


def test_the_machine_around_the_container_keeps_its_kernel(host):
    written = host.file("/etc/sysctl.d/60-protostar.conf").content_string
    settings = [line.lstrip("-").split(" ")[0] for line in written.splitlines() if " = " in line]
    assert settings
    assert all(name.startswith("net.") for name in settings)


def test_no_step_waits_to_be_applied(host):
    assert host.check_output("find /var/lib/protostar/host_files -type f") == ""


def test_the_audits_rules_are_ones_that_auditctl_reads(host):
    # A container has no audit of its own: auditctl reads each rule, and only the kernel refuses it.
    assert not host.package("auditd").is_installed
    variables = DataLoader().load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True)
    variables |= {"ansible_managed": "managed", "__bootstrap_ssh_keys": {"stat": {"exists": False}}}
    template = trust_as_template((ROLE / "templates/audit.rules.j2").read_text())
    rules = Templar(loader=DataLoader(), variables=variables).template(template)
    wanted = [number for number, line in enumerate(rules.splitlines(), 2) if line and not line.startswith("#")]
    encoded = base64.b64encode(f"-c\n{rules}".encode()).decode()
    said = host.run(
        "mkdir -p /var/tmp/audit && cd /var/tmp/audit && "
        "apt-get download -qq auditd $(apt-cache pkgnames libauparse0) >/dev/null 2>&1; "
        "for package in *.deb; do dpkg-deb --extract $package . || exit; done; "
        f"echo {encoded} | base64 -d > rules; "
        "LD_LIBRARY_PATH=$(dirname $(find . -name libauparse.so.0)) $(find . -name auditctl) -R rules"
    )
    complaints = [line for line in said.stderr.splitlines() if not line.startswith("There was an error in line")]
    assert wanted
    assert complaints == ["Error sending add rule data request (Operation not permitted)"] * len(wanted)


def test_modules_that_nobody_needs_are_refused(host):
    config = host.check_output("modprobe --showconfig").splitlines()
    assert {f"install {name} /bin/false" for name in ("dccp", "rds", "sctp", "tipc")} <= set(config)
