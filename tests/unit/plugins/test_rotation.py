"""The change of a secret: who uses it, its stages, and the text of the vault at each of them."""

import json

import pytest
import yaml
from ansible_collections.protostar.platform.plugins.modules import rotated_secret as documentation
from ansible_collections.protostar.platform.plugins.plugin_utils import _rotation, _secrets, _vault_text

TEXT = """\
---
platform_secrets:
  one: 'Old' # of Redis
  two: Other
  dots: "it's \\\\ \\"quoted\\": {x}"
# The end.
"""
HOST = {
    "redis_users": [
        {"password": "{{ platform_secrets.one }}", "more": "{{ platform_rotation.one.passwords | default([]) }}"}
    ],
    "platform_url": "redis://{{ platform_secrets['two'] }}",
    "redis_exporter_url": "{{ platform_url }}/0",
    "pgvector_users": ["{{ platform_secrets.three }}{{ platform_rotation.three.passwords }}"],
    "nginx_apps": "{{ platform_apps.shop.port }}",
    "ddclient_password": "{{ platform_secrets.ddns }}",
    "grafana_admin_password": "{{ platform_secrets.admin }}",
    "grafana_text": "see platform_secrets.one",
    "app_preview_secret": "{{ platform_secrets.preview }}",
    "vars": {"loki_secret_key": "{{ platform_secrets.one }}"},
    "platform_secrets": {"three": "{{ platform_secrets.one }}"},
    "platform_apps": {
        "shop": {"secrets": {"x": "{{ platform_secrets.one }}"}},
        "till": {
            "environment": {"USER": "till{{ platform_rotation.three.suffix | default('') }}"},
            "secrets": {"x": "{{ platform_secrets.three }}", "y": "{{ platform_url }}"},
        },
    },
}
ROLES = ["redis", "redis_more", "pgvector", "nginx", "loki", "ddclient", "grafana", "app", "app"]


def write(text, secret, stage, new="New"):
    return _rotation.write(text, secret, stage, decrypt=str.strip, generate=lambda: new)


@pytest.mark.parametrize(
    ("secret", "roles", "apps", "stages"),
    [
        ("one", ["redis"], ["shop"], ["accept", "use", "close"]),
        ("two", ["redis"], ["till"], ["use"]),
        ("three", ["pgvector"], ["till"], ["accept", "use", "return", "close"]),
        ("on", [], [], ["use"]),
        ("preview", [], [], ["use"]),
    ],
)
def test_users_and_stages_of_a_secret_come_from_the_references(secret, roles, apps, stages):
    users = _rotation.find_users(HOST, secret, ROLES)
    assert (users.roles, users.apps) == (roles, apps)
    assert _rotation.choose_stages([{}, HOST], secret) == stages


def test_only_the_roles_of_a_host_count():
    assert _rotation.find_users(HOST, "one", ["pgvector"]) == _rotation.Users()


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("", ["say which secret", "dots, one, two"]),
        ("onne", ["no secret onne", "Did you mean one?"]),
        ("zzz", ["It has dots, one, two"]),
        ("ddns", ["ddns (ddclient_password) is issued by somebody else", "ansible-vault edit"]),
        ("admin", ["grafana_admin_password", "Grafana"]),
        ("dots", ["no role", "dots"]),
        ("one", []),
    ],
)
def test_what_is_not_rotated_is_refused_with_the_remedy(secret, words):
    text = TEXT.replace("  dots:", "  ddns: x\n  admin: x\n  dots:") if secret in ("ddns", "admin") else TEXT
    said = _rotation.refuse(secret, text, [_rotation.find_users(HOST, secret, ROLES)], ["ddclient_*"])
    assert [word for word in words if word not in said] == []
    assert bool(said) == bool(words)


def test_another_rotation_waits_for_its_turn():
    said = _rotation.refuse("two", write(TEXT, "one", "accept"), [], [])
    assert "rotate.yml -e secret=one" in said


@pytest.mark.parametrize("stages", [["accept", "use", "return", "close"], ["accept", "use", "close"], ["use"]])
def test_the_text_changes_at_the_value_and_the_line_of_the_rotation_only(stages):
    text = TEXT
    values = {
        "accept": ("Old", ["Old", "New"]),
        "use": ("New", ["Old", "New"]),
        "return": ("New", ["New"]),
        "close": ("New", []),
    }
    for stage in stages:
        before, text = text, write(text, "one", stage)
        found = yaml.safe_load(text)
        value, passwords = values[stage]
        assert found["platform_secrets"]["one"] == value
        assert found["platform_rotation"]["one"]["passwords"] == passwords
        assert found["platform_rotation"]["one"].get("suffix") == ("_rotating" if stage == "use" else None)
        assert _rotation.read(text).stage == stage
        assert text.startswith(TEXT if value == "Old" else TEXT.replace("'Old'", "New"))
        # Again, after an interruption: nothing changes, and no other value is made.
        assert write(text, "one", stage, new="Another") == text != before
    text = _rotation.finish(text, "one", "2026-01-02")
    assert text == TEXT.replace("'Old'", "New") + 'platform_rotated: {"one": "2026-01-02"}\n'
    assert _rotation.read(text) is None
    text = _rotation.finish(write(text, "two", "use"), "two", "2026-01-03")
    assert yaml.safe_load(text)["platform_rotated"] == {"one": "2026-01-02", "two": "2026-01-03"}


def test_any_value_survives():
    text = write(TEXT, "dots", "use")
    assert (
        yaml.safe_load(text)["platform_rotation"]["dots"]["passwords"][0]
        == yaml.safe_load(TEXT)["platform_secrets"]["dots"]
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("platform_secrets: {one: {a: b}}\n", "has parts"),
        ("platform_secrets: {one: change me}\n", "Run secrets.yml"),
        ("platform_secrets: {one: \"{{ lookup('x') }}\"}\n", "is an expression"),
        ("platform_secrets: {one: SENTINEL}\nplatform_rotation: SENTINEL\n", "platform_rotation is not"),
        ("platform_secrets: {one: SENTINEL}\nplatform_rotation:\n  one: {stage: use}\n", "platform_rotation is not"),
        (
            f"platform_secrets: {{one: x}}\nplatform_rotation: {json.dumps({'one': {'stage': 'use'}})}\n",
            "platform_rotation is not",
        ),
        ("platform_secrets: {one: SENTINEL}\n...\n", "cannot be written at its end"),
    ],
)
def test_a_vault_that_cannot_be_changed_is_refused_without_a_word_of_it(text, word):
    with pytest.raises(_vault_text.VaultTextError, match=word) as error:
        write(text, "one", "use")
    assert "SENTINEL" not in str(error.value)


def test_the_documentation_has_the_defaults_of_the_code():
    options = yaml.safe_load(documentation.DOCUMENTATION)["options"]
    assert options["issued_elsewhere"]["default"] == list(_secrets.ISSUED_ELSEWHERE)
    assert options["stage"]["choices"] == [*_rotation.STAGES, "finished"]
