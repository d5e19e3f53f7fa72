"""The open ports are the declared ones, from every place, and rules that lock out go by themselves."""

import pytest
from scans import EVERY, MAIN, SUB, assert_open_is_what_is_declared

FILE = "/etc/protostar/firewall.nft"


def test_what_is_open_is_what_is_declared():
    assert_open_is_what_is_declared()


def test_nothing_else_is_open_to_a_stranger():
    assert_open_is_what_is_declared([("stranger", MAIN), ("stranger", SUB)], EVERY)


def test_nor_is_more_open_after_a_restart_of_the_engine(main, sub):
    for machine in (main, sub):
        machine.check_output("systemctl restart docker")
    assert_open_is_what_is_declared()


@pytest.fixture
def rules(main):
    return lambda: main.check_output(f"sha256sum {FILE}; nft --stateless --terse list table inet protostar_firewall")


def test_rules_that_lock_out_go_by_themselves(playbook, rules, main):
    before = rules()
    # From here, as far as can be known beforehand, and by an interface that is not there.
    only = {"port": 22, "sources": ["198.19.0.1"], "interface": "nowhere"}
    cut = playbook("main", "--tags", "firewall", firewall_ports=[only], __firewall_trial_seconds=8)
    assert cut.code != 0
    assert f"{FILE} was not changed" in cut.errors[-1]
    assert rules() == before

    again = playbook("main", "--tags", "firewall")
    assert again.code == 0, again.text
    assert "The rules that an earlier run tried were taken back at" in again.text
    assert again.total("changed") == 0
    assert rules() == before
    assert "taken back" not in playbook("main", "--tags", "firewall", "--check").text


def test_rules_that_do_not_are_kept(playbook, rules, main):
    before = rules()
    more = [{"port": 22, "sources": ["198.19.0.0/24"]}, {"port": 443, "sources": ["0.0.0.0/0"]}]
    assert playbook("main", "--tags", "firewall", firewall_ports=more).code == 0
    assert rules() != before
    assert main.run("systemctl is-active protostar-firewall-trial").stdout.strip() == "inactive"
    # As by hand; a flush of everything would take the engine's own rules too.
    main.check_output("nft delete table inet protostar_firewall")
    assert playbook("main", "--tags", "firewall").code == 0
    assert rules() == before
