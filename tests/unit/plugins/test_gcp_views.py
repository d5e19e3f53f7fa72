"""One rule of Google's firewall has one view, however it is spelt."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import firewall_view
from gcp_built import ALLOW


@pytest.mark.parametrize(
    "spelling",
    [
        {"allowed": [{"IPProtocol": "TCP", "ports": ["443"]}]},
        {"allowed": [{"IPProtocol": "6", "ports": ["443"]}]},
        {"sourceRanges": []},
        {"logConfig": None},
        {"disabled": None},
    ],
)
def test_one_rule_has_one_view(spelling):
    assert firewall_view({**ALLOW, **spelling}) == firewall_view(ALLOW)


def test_ports_are_compared_as_a_set():
    one = [{"IPProtocol": "tcp", "ports": ["443", "80"]}, {"IPProtocol": "udp", "ports": ["51820"]}]
    other = [
        {"IPProtocol": "udp", "ports": ["51820"]},
        {"IPProtocol": "tcp", "ports": ["80"]},
        {"IPProtocol": "tcp", "ports": ["443"]},
    ]
    assert firewall_view({**ALLOW, "allowed": one}) == firewall_view({**ALLOW, "allowed": other})
