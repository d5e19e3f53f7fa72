"""Both hosts, after the roles ran and after every refusal."""

DEB = "/tmp/wants-snap.deb"


def test_snap_is_gone(host):
    assert not host.package("snapd").is_installed
    for path in ("/snap", "/var/snap", "/var/lib/snapd", "/var/cache/snapd", "/home/protostar/snap"):
        assert not host.file(path).exists
    assert "/snap" not in host.check_output("cat /proc/self/mountinfo")


def test_a_directory_that_only_has_snaps_name_stays(host):
    assert host.file("/root/snap/photographs").is_directory


def test_snap_stays_gone_when_a_package_recommends_it(host):
    host.check_output(
        "mkdir -p /tmp/wants-snap/DEBIAN && printf 'Package: wants-snap\\nVersion: 1\\nArchitecture: all\\n"
        "Maintainer: protostar <root@protostar.test>\\nRecommends: snapd\\nDescription: test\\n' "
        f"> /tmp/wants-snap/DEBIAN/control && dpkg-deb --build /tmp/wants-snap {DEB}"
    )
    # Without the pin apt would bring it: otherwise this test would prove nothing.
    unpinned = host.check_output(f"apt-get -o Dir::Etc::PreferencesParts=/dev/null --simulate install {DEB}")
    assert "Inst snapd " in unpinned
    host.check_output(f"apt-get --yes install {DEB}")
    assert host.package("wants-snap").is_installed
    assert not host.package("snapd").is_installed
    host.check_output("apt-get --yes purge wants-snap")


def test_sshd_refuses_passwords_whatever_the_cloud_image_says(host):
    effective = host.check_output("sshd -T").splitlines()
    assert "passwordauthentication no" in effective
    assert "kbdinteractiveauthentication no" in effective
    assert "permitrootlogin without-password" in effective
    assert not [line for line in effective if line.startswith("allowusers")]


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
