"""The updater of dynamic DNS: what ddclient reads of what the role writes, and what does not come into force."""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).parents[3] / "roles/ddclient"
CHECK = ROLE / "files/protostar-ddclient-check"
GIVEN = {
    "ddclient_server": "ddns.example.com",
    "ddclient_login": "me",
    "ddclient_password": "secret",
    "ddclient_hosts": ["home.example.com", "two.example.com"],
}
# Without TLS, for which ddclient 3.10 wants a module of Perl.
PLAIN = {"ddclient_options": {"ssl": False}}
NASTY = ["it's", "'quoted'", "a # b", "a\\", "\\'", 'a"b', " a ", "a, b=c", "password=x", "$(x)", "ü"]
# Prints what ddclient has read, a key and its value in each line, by its own functions.
READ = """
package ddclient;
require $ARGV[0];
my (%hosts, %globals);
read_config($ARGV[1], \\%hosts, \\%globals);
foreach my $host (sort keys %hosts) {
  print "$host\\t$_\\t$hosts{$host}{$_}\\n" foreach (sort keys %{$hosts{$host}});
}
"""


@functools.cache
def load(name):
    return DataLoader().load_from_file(str(ROLE / name), trusted_as_template=True)


def template(expression, **variables):
    """What one of the role's expressions comes to."""
    context = {**load("defaults/main.yml"), **load("vars/main.yml"), **GIVEN}
    context |= {"ansible_managed": "managed", "ansible_search_path": [str(ROLE)], **variables}
    return Templar(loader=DataLoader(), variables=context).template(trust_as_template("{{ " + expression + " }}"))


def configuration(**variables):
    return template("lookup('ansible.builtin.template', 'ddclient.conf.j2')", **variables)


def faults(**variables):
    return template("__ddclient_faults", **variables)


def unquoted(text):
    """A value as ddclient takes it, by the comment in its `_read_config`."""
    value, quote, escaped = "", "", False
    for character in text:
        if escaped:
            value, escaped = value + character, False
        elif character == "\\":
            escaped = True
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        else:
            assert quote or not re.match(r"[\s,]", character), "here ddclient would end the value"
            value += character
    assert not quote
    assert not escaped
    return value


def keys(text):
    """The keys of a configuration and its names, by the comments in ddclient's `_read_config`."""
    found, names = {}, []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if password := re.match(r"(?:[^#]*\s)?([^#]*?password)\s*=\s*('.*'|[^']\S*)", line):
            found[password[1]] = re.sub(r"^'(.*)'$", r"\1", password[2])
        elif assigned := re.match(r"([a-z][0-9a-z_-]*)=(.*)", line):
            found[assigned[1]] = unquoted(assigned[2].split("#")[0].rstrip())
        else:
            names += line.split(",")
    return found, names


def test_nothing_is_set_that_was_not_asked_for():
    found, names = keys(configuration(ddclient_server="", ddclient_login=""))
    assert found == {"ssl": "yes", "protocol": "dyndns2", "password": "secret", "use": "web", "web": "ipify-ipv4"}
    assert names == GIVEN["ddclient_hosts"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("https://ddns.example.com/address", {"use": "web", "web": "https://ddns.example.com/address"}),
        ("interface:eth0", {"use": "if", "if": "eth0"}),
        ("command:/usr/local/bin/address --public", {"use": "cmd", "cmd": "/usr/local/bin/address --public"}),
    ],
)
def test_the_address_is_seen_where_it_is_wanted(source, found):
    read = keys(configuration(ddclient_address_from=source))[0]
    assert {key: read[key] for key in ("use", "web", "if", "cmd") if key in read} == found


def test_other_keys_replace_those_of_the_role():
    read = keys(
        configuration(ddclient_options={"ssl": False, "tcp": True, "ttl": 5, "zone": None}, ddclient_zone="a.b")
    )[0]
    assert (read["ssl"], read["tcp"], read["ttl"]) == ("no", "yes", "5")
    assert "zone" not in read


def test_the_key_of_nsupdate_is_a_file_of_its_own():
    key = 'key "home" {\n\tsecret "c2VjcmV0";\n};'
    given = {"ddclient_protocol": "nsupdate", "ddclient_zone": "example.com", "ddclient_password": key}
    assert faults(**given) == ""
    path = keys(configuration(**given))[0]["password"]
    assert "c2VjcmV0" not in configuration(**given)
    assert template("lookup('ansible.builtin.template', 'ddclient.key.j2')", **given) == key + "\n"
    [task] = [task for task in written() if task["ansible.builtin.template"]["src"] == "ddclient.key.j2"]
    assert template(task["ansible.builtin.template"]["dest"].strip("{} ")) == path


def written():
    """The tasks that write a secret."""
    block = next(task["block"] for task in load("tasks/present.yml") if "block" in task)
    return [task for task in block if "ansible.builtin.template" in task]


def test_secrets_are_shown_to_nobody():
    assert len(written()) == 2
    for task in written():
        assert task["diff"] is False
        assert task["ansible.builtin.template"]["mode"] == "0600"
    for task in load("tasks/present.yml"):
        assert "ddclient_password" not in str(task), "an argument is shown with -vvv"


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("key", ["login", "password"])
def test_ddclient_reads_every_value_as_it_was_given_or_it_is_refused(key, value):
    given = {f"ddclient_{key}": value}
    if faults(**given):
        assert re.search(r"password=" if key == "password" else r"#|password=", value)
    else:
        assert keys(configuration(**given))[0][key] == value


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("key", ["login", "password"])
def test_ddclient_itself_reads_the_same(key, value, tmp_path):
    program = shutil.which("ddclient")
    if not program:
        pytest.skip("wants ddclient, whose own functions read it")
    given = {f"ddclient_{key}": value}
    if faults(**given):
        return
    path = tmp_path / "ddclient.conf"
    path.write_text(configuration(**given))
    path.chmod(0o600)
    read = subprocess.run(["perl", "-e", READ, program, str(path)], capture_output=True, text=True, check=True)
    assert read.stderr == ""
    lines = [line.split("\t") for line in read.stdout.splitlines()]
    assert {host for host, *_ in lines} == set(GIVEN["ddclient_hosts"])
    assert {tuple(rest) for _, *rest in lines if rest[0] == key} == {(key, value)}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, ""),
        ({"ddclient_hosts": ["myhome"]}, ""),
        ({"ddclient_password": "", "ddclient_options": {"apikey": "a", "secretapikey": "b"}}, ""),
        ({"ddclient_hosts": []}, "ddclient_hosts is empty"),
        ({"ddclient_hosts": ["a.b c.d"]}, "a.b c.d is no name of a host"),
        ({"ddclient_hosts": ["a.b,c.d"]}, "a.b,c.d is no name of a host"),
        ({"ddclient_hosts": ["use=cmd"]}, "use=cmd is no name of a host"),
        ({"ddclient_interval": 59}, "ddclient_interval is 59 seconds"),
        ({"ddclient_password": ""}, "ddclient_password is empty"),
        ({"ddclient_password": "a\nuse=cmd"}, "ddclient_password has a line break"),
        ({"ddclient_login": "a#b"}, "ddclient_login has a line break, a #"),
        ({"ddclient_login": "a  b"}, "ddclient_login has a line break, a #"),
        ({"ddclient_options": {"a b": "x"}}, "ddclient_options: a b is no key"),
        ({"ddclient_options": {"apikey": "a\nb"}}, "ddclient_options: apikey has a line break"),
        ({"ddclient_protocol": "nsupdate"}, "nsupdate wants ddclient_server and ddclient_zone"),
    ],
)
def test_what_would_do_nothing_is_refused_in_one_sentence(variables, sentence):
    said = faults(**variables)
    assert len(said.splitlines()) == bool(sentence), said
    assert sentence in said
    assert "geheim" not in said


# What ddclient 3.11.2 says, by what is wrong.
SAID = {
    "FAILED:   updating home.example.com: Could not connect to ddns.example.com.": "",
    "WARNING:  file /a.conf, line 8: unrecognized keyword 'foo' (ignored)": "unrecognized keyword 'foo' (ignored)",
    "WARNING:  file /a.conf, line 8: Invalid Value for keyword 'ssl' = 'geheim'": "Invalid Value for keyword 'ssl'",
    "WARNING:  skipping host: a.b: 'zone=geheim' is an invalid fully qualified host name.": (
        "skipping host: a.b: 'zone' is an invalid fully qualified host name."
    ),
    "WARNING:  file /a.conf, line 9: assignment to 'zone' ended with an unterminated quote (')": (
        "assignment to 'zone' ended with an unterminated quote (')"
    ),
    "FATAL:    Error loading the Perl module JSON::PP": "Error loading the Perl module JSON::PP",
}


def check(tmp_path, said, cached="host=home.example.com home.example.com"):
    """Run the check with a ddclient that says and remembers something; return its exit code and what it says."""
    (tmp_path / "said").write_text(said)
    (tmp_path / "cached").write_text(cached)
    program = tmp_path / "ddclient"
    program.write_text(
        f'#!/bin/sh\necho "$*" > {tmp_path}/asked\ncat {tmp_path}/said >&2\n'
        f'cat "$3" > {tmp_path}/read\ncat {tmp_path}/cached > "$5"\nexit 1\n'
    )
    program.chmod(0o755)
    path = tmp_path / "ddclient.conf"
    path.write_text(configuration())
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()
    result = subprocess.run([CHECK, path], capture_output=True, text=True, check=False, env=environment)
    assert list((tmp_path / "temporary").iterdir()) == [], "a copy of the secrets is left"
    return result.returncode, result.stderr.strip()


@pytest.mark.parametrize("line", SAID)
def test_what_ddclient_says_decides_and_values_stay_unsaid(tmp_path, line):
    assert check(tmp_path, line) == (int(bool(SAID[line])), SAID[line])


def test_a_configuration_without_names_is_refused(tmp_path):
    assert check(tmp_path, "", cached="") == (1, "ddclient finds no name to keep up to date")


def test_the_check_asks_nobody_and_does_nothing(tmp_path):
    check(tmp_path, "")
    assert "-noexec" in (tmp_path / "asked").read_text().split()
    read = (tmp_path / "read").read_text()
    assert [line for line in read.splitlines() if line.startswith("use=")] == ["use=ip"]
    assert keys(read.replace("use=ip\n", "").replace("ip=192.0.2.1\n", "")) == keys(
        configuration().replace("use='web'\n", "")
    )


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (PLAIN, ""),
        ({**PLAIN, "ddclient_protocol": "nsupdate", "ddclient_zone": "example.com", "ddclient_login": ""}, ""),
        ({"ddclient_options": {"foo": "geheim"}}, "unrecognized keyword 'foo'"),
        ({"ddclient_options": {"ssl": "geheim"}}, "Invalid Value for keyword 'ssl'"),
        ({"ddclient_protocol": "geheim"}, "Invalid Value for keyword 'protocol'"),
        ({"ddclient_protocol": "cloudflare"}, "'zone' is an invalid"),
        ({"ddclient_login": ""}, "'login' is an invalid"),
    ],
)
def test_ddclient_itself_refuses_what_it_would_leave_out(tmp_path, variables, sentence):
    if not shutil.which("ddclient"):
        pytest.skip("wants ddclient, which reads the configuration")
    path = tmp_path / "ddclient.conf"
    path.write_text(configuration(**variables))
    path.chmod(0o600)
    result = subprocess.run([CHECK, path], capture_output=True, text=True, check=False)
    assert result.returncode == bool(sentence), result.stderr
    assert sentence in result.stderr
    assert "geheim" not in result.stderr
