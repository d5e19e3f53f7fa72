"""What would not work, or would lock the operator out, is refused before anything changes."""

import pytest

GOOGLE = {"project": "shop-1234", "region": "us-west1", "ssh": "iap"}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"relay_google": {"region": "us-west1", "ssh": "iap"}}, ["relay_google.project"]),
        ({"relay_google": {**GOOGLE, "region": "asia-northeast3"}}, ["asia-northeast3", "guard_free_tier"]),
        ({"relay_target": "home.protostar.test:443"}, ["443", "relay_taken_ports"]),
        ({"relay_target": "10.0.0.20:8443"}, ["10.0.0.20", "wireguard"]),
        ({"relay_names": ["www.protostar.test"]}, ["ops.protostar.test"]),
    ],
)
def test_it_is_refused_in_one_sentence_and_nothing_is_changed(playbook, relay, answers, variables, words):
    places = "/etc/nginx /etc/protostar-relay /etc/wireguard /var/lib/protostar-relay/bundle.json"
    look = f"find {places} -type f | xargs sha256sum"
    before = relay.run(look).stdout
    run = playbook("relay", "--skip-tags", "bootstrap", **variables)
    assert run.code != 0
    assert run.total("changed") == 0
    (error,) = run.errors
    assert not [word for word in words if word not in error], error
    assert "Traceback" not in run.text
    assert relay.run(look).stdout == before
    assert answers(5) is not None


def test_a_listener_shared_by_both_kinds_is_refused(playbook):
    run = playbook("sub", "--tags", "nginx", nginx_publish_proxy="443")
    assert (run.code != 0, run.total("changed")) == (True, 0)
    assert "443" in "".join(run.errors)
