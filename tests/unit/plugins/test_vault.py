"""The file of a vault: how it is opened and written, and what is refused."""

import os
import stat
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.protostar.platform.plugins.plugin_utils import _vault

PASSWORDS = [("default", VaultSecret(b"a long password of a vault"))]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "all/vault.yml"


def write(path, text="a: 1\n", vault_id=None, passwords=PASSWORDS):
    vault = _vault.open_vault(path, passwords)
    _vault.write_vault(
        vault, text, *((vault_id, passwords[0][1]) if vault_id else _vault.choose_password(vault, passwords))
    )


def test_a_vault_is_encrypted_and_for_its_owner_only(path):
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert VaultLib(PASSWORDS).decrypt(path.read_bytes()) == b"a: 1\n"
    assert _vault.open_vault(path, PASSWORDS).text == "a: 1\n"
    assert [file.name for file in path.parent.iterdir()] == ["vault.yml"]


def test_a_vault_keeps_its_id_and_its_password(path):
    prod = VaultSecret(b"the password of production")
    write(path, vault_id="prod", passwords=[("prod", prod)])
    write(path, "a: 2\n", passwords=[*PASSWORDS, ("prod", prod)])
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;prod\n")
    assert _vault.open_vault(path, [("prod", prod)]).text == "a: 2\n"


def test_a_link_stays_a_link(path, tmp_path):
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere.yml")
    write(path)
    assert path.is_symlink()
    assert _vault.open_vault(tmp_path / "elsewhere.yml", PASSWORDS).text == "a: 1\n"


def test_which_of_several_passwords_is_meant_has_to_be_said(path, monkeypatch):
    passwords = [*PASSWORDS, ("prod", VaultSecret(b"the password of production"))]
    with pytest.raises(AnsibleError, match="ANSIBLE_VAULT_ENCRYPT_IDENTITY"):
        write(path, passwords=passwords)
    monkeypatch.setenv("ANSIBLE_VAULT_ENCRYPT_IDENTITY", "other")
    with pytest.raises(AnsibleError, match="default, prod"):
        write(path, passwords=passwords)
    assert not path.exists()
    monkeypatch.setenv("ANSIBLE_VAULT_ENCRYPT_IDENTITY", "prod")
    write(path, passwords=passwords)
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;prod\n")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(path, monkeypatch, step):
    write(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[step], fail)
    with pytest.raises(AnsibleError, match="cannot be written: No space left"):
        write(path, "a: 2\n")
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["vault.yml"]


def test_what_another_wrote_meanwhile_is_not_overwritten(path):
    write(path)
    vault = _vault.open_vault(path, PASSWORDS)
    write(path, "a: 2\n")
    with pytest.raises(AnsibleError, match="meanwhile"):
        _vault.write_vault(vault, "a: 3\n", None, PASSWORDS[0][1])
    assert _vault.open_vault(path, PASSWORDS).text == "a: 2\n"
    assert [file.name for file in path.parent.iterdir()] == ["vault.yml"]


def test_no_plain_text_is_written_at_any_time(path, monkeypatch):
    written = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: written.extend(path.parent.glob(".*")))
    seen = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (seen.append(self.read_bytes()), replace(self, to))[1])
    write(path, "a: SENTINEL\n")
    assert seen
    assert written
    assert all(content.startswith(b"$ANSIBLE_VAULT;") and b"SENTINEL" not in content for content in seen)


@pytest.mark.parametrize(
    ("damage", "passwords", "word"),
    [
        (lambda content: content, [("default", VaultSecret(b"another"))], "cannot be opened"),
        (lambda content: content[:200], PASSWORDS, "damaged"),
        (lambda content: content[:30] + b"zz" + content[32:], PASSWORDS, "damaged"),
        (lambda content: content[:-3], PASSWORDS, "damaged"),
        (lambda content: content.split(b"\n")[0] + b"\n", PASSWORDS, "damaged"),
        (lambda content: content.replace(b"AES256", b"ROT13"), PASSWORDS, "damaged"),
        (lambda content: content, [], "no vault password was given"),
        (lambda content: content, None, "no vault password was given"),
        (lambda content: b"\xff\xfe", PASSWORDS, "UTF-8"),
    ],
)
def test_a_vault_that_cannot_be_opened_is_refused_in_one_sentence(path, damage, passwords, word):
    write(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AnsibleError, match=word) as error:
        _vault.open_vault(path, passwords)
    assert str(error.value).startswith(f"Nothing was changed: {path}")


def test_a_directory_in_its_place_is_refused(path):
    path.mkdir(parents=True)
    with pytest.raises(AnsibleError, match="cannot be read"):
        _vault.open_vault(path, PASSWORDS)
