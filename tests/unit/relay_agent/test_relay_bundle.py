"""What is a bundle, and what is not."""

import hashlib
import json

import bundle as bundles
import pytest
from errors import Refused
from relay_world import data_of, described
from resolvers import resolvers


def test_a_bundle_and_its_version():
    value = described(1, soft=5, hard=7, tunnel="ListenPort = 1")
    bundle = bundles.parse(json.dumps(value, indent=3).encode())
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    assert bundle.version == hashlib.sha256(canonical).hexdigest()[:16]
    assert (bundle.soft_cap, bundle.hard_cap) == (5, 7)
    assert bundle.files["relay.nft"] == "# rules of 1\n\n"
    assert set(bundle.files) == {"nginx.conf", "relay.nft", "tunnel.conf"}


def test_the_version_does_not_depend_on_how_it_is_written():
    value = described(1)
    turned = {key: value[key] for key in reversed(value)}
    assert bundles.parse(json.dumps(turned).encode()) == bundles.parse(json.dumps(value, indent=1).encode())
    assert bundles.version_of_text(json.dumps(turned).encode()) == bundles.parse(data_of(1)).version


def test_caps_may_be_left_out():
    value = described(1)
    del value["agent"]
    assert bundles.parse(json.dumps(value).encode()).hard_cap == 0


def changed(**changes):
    return {**described(1), **changes}


def with_file(name, lines):
    value = described(1)
    value["files"][name] = lines
    return value


def without_file(name):
    value = described(1)
    del value["files"][name]
    return value


BAD = {
    "no object": [],
    "another format": changed(format=2),
    "a format that only looks like one": changed(format=True),
    "no format": {key: value for key, value in described(1).items() if key != "format"},
    "an unknown key": changed(more=1),
    "an unknown file": with_file("shadow", ["root"]),
    "a path": with_file("../../etc/passwd", ["root"]),
    "no nginx.conf": without_file("nginx.conf"),
    "no relay.nft": without_file("relay.nft"),
    "files that are none": changed(files=["nginx.conf"]),
    "a file that is a text": with_file("relay.nft", "table"),
    "a line that is none": with_file("relay.nft", ["table", 1]),
    "a line of two": with_file("relay.nft", ["table\ninclude"]),
    "a zero byte": with_file("relay.nft", ["table\0"]),
    "a line that hides": with_file("relay.nft", ["table \u202e"]),
    "no version in nginx.conf": with_file("nginx.conf", ["return 1;"]),
    "a private key": with_file("tunnel.conf", ["[Interface]", " privatekey=abc"]),
    "a preshared key": with_file("tunnel.conf", ["[Peer]", "PresharedKey = abc"]),
    "an unknown setting": changed(agent={"egress_cap": 1}),
    "a cap below nothing": changed(agent={"egress_hard_cap_bytes": -1}),
    "a cap of truth": changed(agent={"egress_hard_cap_bytes": True}),
    "a cap of a part": changed(agent={"egress_soft_cap_bytes": 1.5}),
    "a cap as a text": changed(agent={"egress_soft_cap_bytes": "1"}),
    "an agent that is none": changed(agent=[]),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_bundle(bad):
    with pytest.raises(Refused) as caught:
        bundles.parse(json.dumps(BAD[bad]).encode())
    assert_sentence(str(caught.value))


TEXTS = {
    "nothing": b"",
    "half": data_of(1)[:-20],
    "another program's answer": b"<html>",
    "no UTF-8": b'{"format": "\xff"}',
    "not a number": data_of(1).replace(b'"egress_hard_cap_bytes": 0', b'"egress_hard_cap_bytes": NaN'),
    "a key twice": data_of(1).replace(b'"format": 1', b'"format": 1, "format": 1'),
    "too deep": b"[" * 200_000,
    "too large": data_of(1, nginx="#" * bundles.LARGEST),
}


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_json(text):
    with pytest.raises(Refused) as caught:
        bundles.parse(TEXTS[text])
    assert_sentence(str(caught.value))
    assert len(bundles.version_of_text(TEXTS[text])) == 16


def test_the_largest_bundle_is_taken():
    room = bundles.LARGEST - len(data_of(1))
    assert bundles.parse(data_of(1, nginx="#" * room))
    with pytest.raises(Refused, match="256 KiB"):
        bundles.parse(data_of(1, nginx="#" * (room + 1)))


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(Refused) as caught:
            bundles.load(path)
        assert_sentence(str(caught.value))
        assert str(path) in str(caught.value)


def assert_sentence(text):
    """One sentence, with what did not happen and what to do."""
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 300
    assert "nothing was changed; " in text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nameserver 10.0.0.53\nnameserver 10.0.0.54\n", ["10.0.0.53", "10.0.0.54"]),
        ("# nameserver 1.1.1.1\n;nameserver 1.1.1.1\nsearch home\n\n", []),
        ("nameserver\tfd00::53\nnameserver fe80::1%eth0\n", ["[fd00::53]"]),
        ("nameserver 127.0.0.53\noptions edns0\nnameserver 127.0.0.53", ["127.0.0.53"]),
        ("nameserver 10.0.0.53; drop\nnameserver dns.example\nnameserver", []),
    ],
)
def test_name_servers(text, found):
    assert resolvers(text) == found
