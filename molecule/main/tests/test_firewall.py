"""The open ports are the declared ones, from every place, and rules that lock out go by themselves."""

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


def rules(main):
    return main.check_output(f"sha256sum {FILE}; nft --stateless --terse list table inet protostar_firewall")


def test_rules_that_lock_out_go_by_themselves_and_the_next_run_tells(playbook, main):
    before = rules(main)
    # As far as can be known beforehand Ansible is let in; but by an interface that is not there.
    only = {"port": 22, "sources": ["198.19.0.1"], "interface": "nowhere"}
    cut = playbook("main", "--tags", "firewall", firewall_ports=[only], __firewall_trial_seconds=8)
    assert cut.code != 0
    assert f"{FILE} was not changed" in cut.errors[-1], cut.text
    assert rules(main) == before

    # What is changed by hand comes back as well.
    main.check_output("nft delete table inet protostar_firewall")
    again = playbook("main", "--tags", "firewall")
    assert (again.code, again.total("changed")) == (0, 1), again.text
    assert "The rules that an earlier run tried were taken back at" in again.text
    assert rules(main) == before
    assert main.run("test -e /var/lib/protostar/firewall.returned").rc != 0
