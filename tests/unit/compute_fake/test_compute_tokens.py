"""Who may come in: a signed request for a token, and the token while it lasts."""

import base64
import json
import time
from pathlib import Path

import pytest
import requests
from compute_fake import serve
from compute_fake.tokens import LIFETIME, Refused
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ENDPOINT = "http://127.0.0.1:1/token"
SCOPE = "https://www.googleapis.com/auth/compute"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def encode(value):
    """Return base64 as a JWT has it."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def assertion(account, *, key=None, header=None, **claims):
    """Return a request for a token, signed."""
    key = key or serialization.load_pem_private_key(account["private_key"].encode(), None)
    now = int(time.time())
    head = {"alg": "RS256", "typ": "JWT", "kid": account["private_key_id"], **(header or {})}
    said = {
        "iss": account["client_email"],
        "scope": SCOPE,
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    content = f"{encode(head)}.{encode(said)}"
    return f"{content}.{encode(key.sign(content.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture
def account(fake, tmp_path):
    """The account's file, read."""
    fake.tokens.service_account(tmp_path / "account.json", ENDPOINT)
    assert (tmp_path / "account.json").stat().st_mode & 0o077 == 0
    return json.loads((tmp_path / "account.json").read_text())


def token(fake, text):
    """Ask for a token."""
    return fake.tokens.answer({"grant_type": GRANT, "assertion": text}, ENDPOINT)


def status(fake, header):
    """Return the status of a request with this Authorization header."""
    headers = {"Authorization": header} if header else {}
    return fake.session(token=False).get(f"{fake.endpoint}/projects/shop", headers=headers).status_code


def test_a_signed_request_is_given_a_token_that_lets_in(fake, account):
    answer = token(fake, assertion(account))
    assert answer["token_type"] == "Bearer"
    assert 0 < answer["expires_in"] <= LIFETIME
    assert status(fake, f"Bearer {answer['access_token']}") == 200


@pytest.mark.parametrize("header", [None, "Bearer ", "Bearer ya29.forged", "Basic eDp5"])
def test_nothing_else_lets_in(fake, account, header):
    assert status(fake, header) == 401


def test_a_token_expires_by_the_clock_of_the_fake_and_a_new_one_can_be_had(fake, account):
    old = token(fake, assertion(account))["access_token"]
    fake.clock.advance(LIFETIME - 1)
    assert status(fake, f"Bearer {old}") == 200
    fake.clock.advance(2)
    assert status(fake, f"Bearer {old}") == 401
    assert status(fake, f"Bearer {token(fake, assertion(account))['access_token']}") == 200


def test_a_key_of_somebody_else_is_refused(fake, account):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(Refused, match="Signature"):
        token(fake, assertion(account, key=other))


def test_a_changed_request_is_refused(fake, account):
    head, _, signature = assertion(account).split(".")
    claims = assertion(account, scope=f"{SCOPE} {SCOPE}").split(".")[1]
    with pytest.raises(Refused, match="Signature"):
        token(fake, f"{head}.{claims}.{signature}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "someone@shop.iam.gserviceaccount.com"},
        {"aud": "https://example.org/token"},
        {"scope": ""},
        {"scope": "https://www.googleapis.com/auth/gmail"},
        {"iat": 0, "exp": 3600},
        {"exp": int(time.time()) + 7200},
        {"header": {"kid": "another"}},
        {"header": {"alg": "none"}},
    ],
)
def test_a_request_that_says_something_wrong_is_refused(fake, account, wrong):
    with pytest.raises(Refused):
        token(fake, assertion(account, **wrong))


@pytest.mark.parametrize("form", [{}, {"grant_type": GRANT}, {"grant_type": GRANT, "assertion": "a.b.c"}])
def test_a_request_that_is_none_is_refused(fake, form):
    with pytest.raises(Refused):
        fake.tokens.answer(form, ENDPOINT)


def test_an_account_that_was_removed_is_refused(fake, account):
    fake.tokens.enabled = False
    with pytest.raises(Refused, match="not found"):
        token(fake, assertion(account))


def test_workload_identity_exchanges_the_token_of_its_file(fake, tmp_path):
    configuration = json.loads((tmp_path / fake.workload_identity(tmp_path / "pool.json")).read_text())
    subject = Path(configuration["credential_source"]["file"]).read_text()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": configuration["audience"],
        "subject_token": subject,
        "subject_token_type": configuration["subject_token_type"],
    }
    assert status(fake, f"Bearer {fake.tokens.answer(form, ENDPOINT)['access_token']}") == 200
    for change in ({"subject_token": "forged"}, {"audience": "//iam.googleapis.com/other"}):
        with pytest.raises(Refused):
            fake.tokens.answer({**form, **change}, ENDPOINT)


def test_the_session_in_process_renews_its_token(fake):
    session = fake.session()
    fake.clock.advance(LIFETIME + 1)
    assert session.get(f"{fake.endpoint}/projects/shop").status_code == 200


def test_the_endpoint_is_over_http_where_the_file_says(tmp_path):
    with serve() as fake:
        account = json.loads((tmp_path / fake.service_account(tmp_path / "account.json")).read_text())
        assert account["token_uri"].startswith("http://127.0.0.1:")
        form = {"grant_type": GRANT, "assertion": assertion(account)}
        answer = requests.post(account["token_uri"], data=form, timeout=10)
        assert answer.status_code == 200
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert requests.get(f"{fake.endpoint}/projects/shop", headers=headers, timeout=10).status_code == 200
        refused = requests.post(account["token_uri"], data={**form, "assertion": "x"}, timeout=10)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        fake.fault("POST token", status=503)
        assert requests.post(account["token_uri"], data=form, timeout=10).status_code == 503
