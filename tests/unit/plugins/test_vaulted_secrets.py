"""The secrets that a vault lacks: what is needed, what is weak, and what becomes of its text."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.protostar.platform.plugins.action import vaulted_secrets
from ansible_collections.protostar.platform.plugins.modules import vaulted_secrets as documentation
from ansible_collections.protostar.platform.plugins.plugin_utils import _secrets, _vault_text

STRONG = "Zu7bq1Vd9kXw3LmP0sTy"


# --- what is needed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("{{ platform_secrets.redis_nest }}", {"redis_nest"}),
        (
            "{{ platform_secrets['redis_nest'] }}{{ platform_secrets[\"redis-fastapi\"] }}",
            {"redis_nest", "redis-fastapi"},
        ),
        ({"users": [{"password": "{{ platform_secrets.a }}"}, {"password": "{{platform_secrets.b}}"}]}, {"a", "b"}),
        ("{% if x %}{{ hostvars['main'].platform_secrets.a }}{% endif %}", {"a"}),
        ("{{ platform_secrets.telegram.token }}", {"telegram"}),
        ("{{ platform_secrets.a | default('') }}{{ platform_secrets.b|d(1) }}{{ platform_secrets.c | string }}", {"c"}),
        ("{{ platform_secrets.items() | list }}{{ platform_secrets | dict2items }}", set()),
        ("see platform_secrets.a", set()),
        ("{{ my_platform_secrets.a }}{{ platform_secrets_old.a }}{{ platform_secrets[item] }}", set()),
        (17, set()),
    ],
)
def test_what_variables_refer_to_is_needed(value, names):
    variables = {
        "x": value,
        "platform_secrets": {"z": "{{ platform_secrets.z }}"},
        "vars": {"y": "{{ platform_secrets.y }}"},
    }
    assert _secrets.find_references(variables) == {name: {"x"} for name in names}


def test_what_any_host_refers_to_is_needed():
    hosts = {
        "main": {"one": "{{ platform_secrets.a }}"},
        "sub": {"two": "{{ platform_secrets.a }}", "three": "{{ platform_secrets.b }}"},
    }
    assert vaulted_secrets.collect_references(hosts) == {"a": {"one", "two"}, "b": {"three"}}


# --- what is weak -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (STRONG, ""),
        ("a" * 15 + "bcdef", ""),
        (STRONG[:16], ""),
        (STRONG[:15], "shorter"),
        ("x" * 32, "different"),
        ("abcdabcdabcdabcd", "different"),
        ("minioadmin", "default"),
        ("Password123!", "default"),
        ("adminadminadminadmin", "default"),
        ("pgvector_superuser", "own name"),
        ("PGVECTOR_SUPERUSER", "own name"),
    ],
)
def test_a_weak_secret_is_told_from_a_strong_one(value, word):
    problem = _secrets.find_weakness(value, ["pgvector_superuser"])
    assert (word in problem) if word else problem == ""


def test_a_made_secret_is_strong_and_another_each_time():
    made = {_secrets.make() for _ in range(200)}
    assert len(made) == 200
    for secret in made:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{31}", secret)
        assert _secrets.find_weakness(secret) == ""
        assert yaml.safe_load(secret) == secret


# --- the text ---------------------------------------------------------------------------------------------------------


def generator():
    for letter in "ABCDEFGH":
        yield f"New{letter}"


def plan(text, needed=(), **options):
    made = generator()
    needed = needed if isinstance(needed, dict) else {name: {"x"} for name in needed}
    return _secrets.plan(text, needed, decrypt=lambda text: text.strip(), generate=lambda: next(made), **options)


TEXT = """\
---
# The vault.
platform_secrets:   # all of them
  # Of PostgreSQL.
  first: change me  # soon
  second: "change_me"

  kept: 'Zu7bq1Vd9kXw3LmP0sTy' # by hand
  last:
# Something else.
other: change me
"""


def test_the_text_changes_at_the_values_and_nowhere_else():
    result = plan(TEXT, ["kept", "new", "also"])
    assert result.made == ["first", "second", "last", "also", "new"]
    assert result.kept == ["kept"]
    assert result.text == (
        TEXT.replace("first: change me", "first: NewA")
        .replace('"change_me"', "NewB")
        .replace("last:\n", "last: NewC\n  also: NewD\n  new: NewE\n")
    )
    assert plan(result.text, ["kept", "new", "also"]) == _secrets.Plan(
        result.text,
        kept=["first", "second", "kept", "last", "also", "new"],
        weak=result.weak | dict.fromkeys(["first", "second", "last", "also", "new"], "is shorter than 16 characters"),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "platform_secrets:\n  a: NewA\n"),
        ("# Nothing yet.", "# Nothing yet.\nplatform_secrets:\n  a: NewA\n"),
        ("---\nother: 1\n", "---\nother: 1\nplatform_secrets:\n  a: NewA\n"),
        ("platform_secrets:\nother: 1\n", "platform_secrets:\n  a: NewA\nother: 1\n"),
        ("platform_secrets: {}\n", "platform_secrets: {a: NewA}\n"),
        ("platform_secrets: {b: c}\n", "platform_secrets: {b: c, a: NewA}\n"),
        ("platform_secrets: {b: todo,}\n", "platform_secrets: {b: NewA,a: NewB}\n"),
        ("platform_secrets:\n    b: c", "platform_secrets:\n    b: c\n    a: NewA"),
        ("platform_secrets:\r\n  b: c\r\n", "platform_secrets:\r\n  b: c\n  a: NewA\r\n"),
        ("platform_secrets:\n  b: |\n    c\n    d\n", "platform_secrets:\n  a: NewA\n  b: |\n    c\n    d\n"),
        ("platform_secrets:\n  b: {c: d}\n", "platform_secrets:\n  b: {c: d}\n  a: NewA\n"),
        ("platform_secrets:\n  b: {c: todo}\n", "platform_secrets:\n  b: {c: NewA}\n  a: NewB\n"),
        ("platform_secrets:\n  a: >-\n    change\n    me\n  b: c\n", "platform_secrets:\n  a: NewA\n  b: c\n"),
        ("platform_secrets:\n  b: c\n...\n", "platform_secrets:\n  b: c\n  a: NewA\n...\n"),
        ("platform_secrets:\n  a: ~\n", "platform_secrets:\n  a: NewA\n"),
        ("platform_secrets:\n  ä: c # ö\n", "platform_secrets:\n  ä: c # ö\n  a: NewA\n"),
    ],
)
def test_a_secret_is_written_into_every_shape_of_a_vault(before, after):
    result = plan(before, ["a"])
    assert result.text == after
    assert yaml.safe_load(result.text)["platform_secrets"]["a"] == "NewA" or "b: NewA" in after or "c: NewA" in after


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("platform_secrets: [a]\n", "mapping"),
        ("platform_secrets: all of them\n", "mapping"),
        ("- a\n", "mapping"),
        ("just text", "mapping"),
        ('platform_secrets:\n  b: "SENTINEL\n  c: [\n', "YAML"),
        ("platform_secrets:\n\tb: SENTINEL\n", "YAML near line 2"),
        ("a: SENTINEL\n--- \nb: c\n", "YAML"),
        ("platform_secrets:\n  b: &one change me\n  c: *one\n", "anchors"),
        ("other: 1\n...\n", "without changing"),
    ],
)
def test_a_text_that_cannot_be_changed_is_refused_without_a_word_of_it(text, word):
    with pytest.raises(_secrets.VaultTextError, match=word) as error:
        plan(text, ["a"])
    assert "SENTINEL" not in str(error.value)


def test_a_change_that_would_change_more_is_refused(monkeypatch):
    monkeypatch.setattr(_vault_text, "replace", lambda text, leaf, value: (leaf.start_mark.index - 9, 30, value))
    with pytest.raises(_secrets.VaultTextError, match="without changing"):
        plan("platform_secrets:\n  a: one\n  b: todo\n")


def test_what_others_issue_is_not_made():
    text = "platform_secrets:\n  stripe: <from Stripe>\n  ddns: change me\n  short: abc\n"
    needed = {
        "ddns": {"ddclient_password"},
        "telegram": {"alertmanager_telegram"},
        "short": {"alertmanager_email"},
        "both": {"alertmanager_email", "redis_users"},
    }
    result = plan(text, needed)
    assert result.made == ["both"]
    assert result.by_hand == {"stripe": [], "ddns": ["ddclient_password"], "telegram": ["alertmanager_telegram"]}
    assert result.weak == {}
    assert plan(text, needed, issued_elsewhere=[]).made == ["ddns", "both", "telegram"]


def test_a_weak_value_is_told_and_kept():
    text = f"platform_secrets:\n  a: admin\n  b: {STRONG}\n  c: \"{{{{ lookup('x') }}}}\"\n  d: {{e: e}}\n"
    result = plan(text)
    assert set(result.weak) == {"a", "d.e"}
    assert result.kept == ["a", "b", "d.e"]
    assert result.text == text


@pytest.mark.parametrize(("value", "weak"), [(STRONG, False), ("admin", True)])
def test_a_value_that_is_encrypted_by_itself_is_looked_at(value, weak):
    text = f"platform_secrets:\n  a: !vault |\n    {value}\n"
    result = plan(text, ["b"])
    assert ("a" in result.weak) is weak
    assert result.kept == []
    assert result.text.endswith(text.partition("\n")[2])


def test_a_value_that_is_encrypted_by_itself_and_does_not_open_is_named():
    def decrypt(text):
        raise ValueError(text)

    with pytest.raises(_secrets.VaultTextError, match="its value a,") as error:
        _secrets.plan("platform_secrets:\n  a: !vault SENTINEL\n", {}, decrypt=decrypt)
    assert "SENTINEL" not in str(error.value)


# --- the inventory ----------------------------------------------------------------------------------------------------


def test_a_file_that_ansible_would_no_longer_read_is_not_hidden(tmp_path):
    path = tmp_path / "all/vault.yml"
    vaulted_secrets.refuse_hidden(path)
    path.parent.with_name("all.yml").write_text("platform_domain: example.com\n")
    with pytest.raises(AnsibleError, match=r"all\.yml"):
        vaulted_secrets.refuse_hidden(path)
    path.parent.mkdir()
    vaulted_secrets.refuse_hidden(path)


@pytest.mark.parametrize(
    ("variables", "names", "word"),
    [
        ({"platform_secrets": {"a": "x"}}, {"a"}, None),
        ({}, set(), None),
        ({}, {"a"}, "is not set"),
        ({"platform_secrets": "{{ lookup('sops') }}"}, set(), "set elsewhere"),
        ({"platform_secrets": {"b": "x"}}, {"a"}, "set elsewhere"),
        ({"platform_secrets": {"a": "x", "b": "x"}}, {"a"}, "set elsewhere"),
    ],
)
def test_secrets_that_come_from_elsewhere_are_left_alone(variables, names, word):
    if word:
        with pytest.raises(AnsibleError, match=word):
            vaulted_secrets.refuse_foreign({"main": variables}, names, "vault.yml")
    else:
        vaulted_secrets.refuse_foreign({"main": variables}, names, "vault.yml")


def test_the_documentation_has_the_defaults_of_the_code():
    options = yaml.safe_load(documentation.DOCUMENTATION)["options"]
    assert options["issued_elsewhere"]["default"] == list(_secrets.ISSUED_ELSEWHERE)
    text = Path(vaulted_secrets.__file__).read_text()
    keys = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert set(options) <= keys
