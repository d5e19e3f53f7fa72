"""The filters, without Ansible."""

import base64
import hashlib
import hmac

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.protostar.platform.plugins.filter.addresses import addresses
from ansible_collections.protostar.platform.plugins.filter.newest_tag import newest_tag
from ansible_collections.protostar.platform.plugins.filter.scram_sha_256 import scram_sha_256
from ansible_collections.protostar.platform.plugins.filter.table import table


def test_a_table_is_aligned_and_has_no_trailing_spaces():
    rows = [{"host": "main", "stand_in": True, "addresses": ["a", "b"]}, {"host": "a longer name", "stand_in": False}]
    assert table(rows, ["host", "addresses", "stand_in"]).splitlines() == [
        "host           addresses  stand in",
        "main           a, b       yes",
        "a longer name",
    ]


def test_a_table_without_rows_is_its_heading():
    assert table([], ["host", "state"]) == "host  state"


def test_a_cell_is_one_line():
    assert table([{"host": "two\nlines", "count": 0}], ["host", "count"]).splitlines()[1] == "two lines  0"


def client_proof_fits(verifier: str, password: str) -> bool:
    """Log in as RFC 5802 says, with the password on one side and the verifier on the other."""
    _, iterations_salt, keys = verifier.split("$")
    iterations, salt = iterations_salt.split(":")
    stored_key, server_key = (base64.b64decode(key) for key in keys.split(":"))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    message = b"n=,r=nonce,s=salt"
    signature = hmac.digest(stored_key, message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    recovered = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return (
        hashlib.sha256(recovered).digest() == stored_key and hmac.digest(salted, b"Server Key", "sha256") == server_key
    )


def test_a_verifier_admits_its_password_only():
    verifier = scram_sha_256("correct horse", "shop")
    assert client_proof_fits(verifier, "correct horse")
    assert not client_proof_fits(verifier, "battery staple")


def test_a_verifier_is_the_same_at_every_run_and_another_for_another_user():
    assert scram_sha_256("one", "shop") == scram_sha_256("one", "shop")
    assert scram_sha_256("one", "shop") != scram_sha_256("one", "blog")


def test_the_salt_does_not_depend_on_the_password():
    salts = {scram_sha_256(password, "shop").split("$")[1] for password in ("one", "two")}
    assert len(salts) == 1


@pytest.mark.parametrize("password", ["", "pässword", "tab\tbed", "nul\0"])
def test_a_password_that_could_be_normalized_is_refused(password):
    with pytest.raises(AnsibleFilterError, match="shop"):
        scram_sha_256(password, "shop")


@pytest.mark.parametrize(
    ("tag", "tags", "newest"),
    [
        ("8.2.9-bookworm", ["8.2.10-bookworm", "8.4.0", "8.4-bookworm", "8.4.0-trixie", "9.0.0-rc1-bookworm"], 0),
        ("8.2.9", ["8.2.8", "8.10.0", "8.9.9"], 1),
        ("v3.13.2", ["3.14.0", "v3.14.0", "v3.14.0-rc.0", "v4"], 1),
        ("0.8.6-pg18-trixie", ["0.9.0-pg19-trixie", "0.8.7-pg18-trixie", "0.8.7-pg18"], 1),
        ("RELEASE.2026-09-16T00-00-00Z", ["RELEASE.2026-10-01T10-00-00Z", "RELEASE.2026-10-02T10-00-00Z.hotfix"], 0),
        (
            "1.26.3-debian13-b7bf469",
            ["1.26.3-debian13-ffff469", "1.28.0-debian13-1dd9cf9", "1.29.0-debian12-1dd9cf9"],
            1,
        ),
        ("18", ["19", "18.1", "20260101-x"], 0),
        ("1.0.0", ["1.0.0", "0.9.9"], None),
        ("latest", ["1.0.0", "newest"], None),
        ("stand-in-e22184e", ["stand-in-f000000"], None),
        ("7db283e", ["9999999"], None),
    ],
)
def test_the_newest_tag_is_of_the_same_flavour(tag, tags, newest):
    assert newest_tag(tags, tag) == (tag if newest is None else tags[newest])


@pytest.mark.parametrize(
    ("first", "count", "found"),
    [
        ("10.201.1.21", 1, ["10.201.1.21"]),
        ("10.201.1.254", 3, ["10.201.1.254", "10.201.1.255", "10.201.2.0"]),
        ("fd00::ffff", 2, ["fd00::ffff", "fd00::1:0"]),
    ],
)
def test_addresses_are_counted_up(first, count, found):
    assert addresses(first, count) == found


@pytest.mark.parametrize(
    ("first", "count", "words"),
    [
        ("10.201.1", 1, "'10.201.1' is not an IP address"),
        ("10.201.1.0/24", 1, "is not an IP address"),
        ("10.201.1.21", 0, "at least one"),
        ("255.255.255.254", 3, "no 3 addresses from 255.255.255.254"),
    ],
)
def test_what_cannot_be_counted_is_refused_in_a_sentence(first, count, words):
    with pytest.raises(AnsibleFilterError, match=words):
        addresses(first, count)
