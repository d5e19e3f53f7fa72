"""The test that tells whether an address is in one of some networks."""

import pytest
from ansible_collections.protostar.platform.plugins.test.within import within


@pytest.mark.parametrize(
    ("address", "networks", "inside"),
    [
        ("192.0.2.7", ["192.0.2.7"], True),
        ("192.0.2.7", ["198.51.100.0/24", "192.0.2.0/29"], True),
        ("192.0.2.8", ["192.0.2.0/29"], False),
        ("192.0.2.7", ["192.0.2.1/24"], True),
        ("192.0.2.7", ["::/0"], False),
        ("2001:db8::7", ["0.0.0.0/0", "2001:db8::/64"], True),
        ("2001:db8:0:1::7", ["2001:db8::/64"], False),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("192.0.2.7", [], False),
        ("192.0.2.7", ["home", "192.0.2.0/99"], False),
        ("home", ["0.0.0.0/0", "::/0"], False),
    ],
)
def test_an_address_is_within_the_networks_that_hold_it(address, networks, inside):
    assert within(address, networks) is inside
