"""playbooks/secrets.yml, run on a copy of the example inventory."""

import re
import stat

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from production import EXAMPLE, PASSWORD, Production

PEM = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
STRONG = "Zu7bq1Vd9kXw3LmP0sTy"
PLACEHOLDERS = set(
    yaml.safe_load((EXAMPLE / "group_vars/all/vault.yml").read_text(encoding="utf-8"))["platform_secrets"]
)


@pytest.fixture
def production(tmp_path):
    return Production(tmp_path)


def test_every_placeholder_becomes_a_secret_that_nobody_sees(production):
    status, output = production.run("-vvvvv", "--diff")
    assert status == 0, output
    secrets = production.secrets()
    assert set(secrets) == PLACEHOLDERS
    assert len(set(secrets.values())) == len(secrets)
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", value) for value in secrets.values())
    assert stat.S_IMODE(production.vault.stat().st_mode) == 0o600
    for name, value in secrets.items():
        assert name in output
        assert value not in output
    assert PASSWORD not in output
    everything = b"".join(path.read_bytes() for path in production.root.rglob("*") if path.is_file())
    assert not any(value.encode() in everything for value in secrets.values())


def test_the_rest_of_the_file_stays_as_it_is(production):
    before = production.vault.read_text()
    production.run()
    after = production.text()
    for value in production.secrets().values():
        after = after.replace(value, "change me")
    assert after == before


def test_ansible_reads_them_and_a_second_run_changes_no_byte(production):
    production.run()
    before, secrets = production.vault.read_bytes(), production.secrets()
    status, output = production.ansible(
        "adhoc", "-i", production.inventory, "main", "-m", "ansible.builtin.debug", "-a", "var=redis_users"
    )
    assert status == 0
    assert secrets["redis_nest"] in output
    status, output = production.run("--diff")
    assert status == 0
    assert "changed=0" in output
    assert "Nothing to make" in output
    assert production.vault.read_bytes() == before


def test_a_new_reference_gets_a_secret_and_the_others_stay(production):
    production.run()
    before = production.secrets()
    (production.inventory / "host_vars").mkdir()
    (production.inventory / "host_vars/main.home.example.com.yml").write_text(
        "shop: '{{ platform_secrets.pgvector_shop }}'\nalertmanager_watchdog_url: '{{ platform_secrets.watchdog }}'\n"
        "perhaps: '{{ platform_secrets.perhaps | default(omit) }}'\n# no: '{{ platform_secrets.commented }}'\n"
    )
    status, output = production.run()
    assert status == 0, output
    assert "Made 1 in" in output
    assert "watchdog (alertmanager_watchdog_url) is for you to write" in output
    after = production.secrets()
    assert after == {**before, "pgvector_shop": after["pgvector_shop"]}


def test_check_mode_tells_names_and_writes_nothing(production):
    before = production.files()
    status, output = production.run("--check", "--diff")
    assert status == 0
    assert "changed=1" in output
    assert f"Would make {len(PLACEHOLDERS)} in {production.vault}" in output
    assert all(name in output for name in PLACEHOLDERS)
    assert production.files() == before


def test_a_vault_that_is_not_there_is_made(production):
    production.vault.unlink()
    status, output = production.run(inventory=production.inventory / "hosts.yml")
    assert status == 0, output
    assert set(production.secrets()) == PLACEHOLDERS


def test_any_inventory_will_do_that_has_hosts(production):
    inventory = production.root / "other/hosts"
    inventory.parent.mkdir()
    inventory.write_text('[shops]\nshop one="{{ platform_secrets.one }}" two="{{ platform_secrets[\'two\'] }}"\n')
    assert production.run(inventory=inventory)[0] == 0
    production.vault = inventory.parent / "group_vars/all/vault.yml"
    assert set(production.secrets()) == {"one", "two"}
    (production.root / "empty").mkdir()
    production.refuses("has no hosts", inventory=production.root / "empty")
    assert list((production.root / "empty").iterdir()) == []


def test_a_vault_in_plain_text_is_encrypted_and_its_secrets_are_kept(production):
    production.write(production.vault.read_text().replace("redis_nest: change me", f"redis_nest: {STRONG} # by hand"))
    status, output = production.run("-vvv", "--diff")
    assert status == 0, output
    assert "was plain text, and is encrypted now" in output
    assert "It held in plain text, and keeps: redis_nest. Change" in output
    assert f"redis_nest: {STRONG} # by hand\n" in production.text()
    assert STRONG not in output


def test_a_vault_in_plain_text_that_lacks_nothing_is_encrypted_too(production):
    text = production.vault.read_text().replace("change me", STRONG)
    production.write(text)
    assert "Would make" not in production.run("--check")[1]
    assert production.vault.read_text() == text
    status, output = production.run()
    assert status == 0, output
    assert "changed=1" in output
    assert production.text() == text


def test_a_weak_value_is_warned_of_and_kept(production):
    production.write(production.vault.read_text().replace("redis_nest: change me", "redis_nest: sentinel"))
    status, output = production.run()
    assert status == 0, output
    assert "[WARNING]: platform_secrets.redis_nest is shorter than 16 characters, and was left as it is" in output
    assert "sentinel" not in output
    assert production.secrets()["redis_nest"] == "sentinel"


def test_a_value_that_is_encrypted_by_itself_stays_so(production):
    inner = VaultLib([]).encrypt(STRONG, VaultSecret(PASSWORD.encode())).decode().replace("\n", "\n    ").rstrip()
    text = production.vault.read_text().replace("redis_nest: change me", f"redis_nest: !vault |\n    {inner}")
    production.write(text)
    assert production.run()[0] == 0
    assert inner in production.text()
    _, output = production.ansible(
        "adhoc", "-i", production.inventory, "main", "-m", "ansible.builtin.debug", "-a", "var=redis_users"
    )
    assert STRONG in output


def test_without_a_password_it_is_refused(production):
    production.refuses("no vault password was given", "--ask-vault-pass", given=())


def test_an_encrypted_vault_is_not_opened_by_another_password_or_none(production):
    production.run()
    other = production.root / "other"
    other.write_text("another password of a vault\n")
    production.refuses("cannot be opened with the vault password", given=("--vault-password-file", other))
    production.refuses("is encrypted, and no vault password was given", given=())


@pytest.mark.parametrize("playbook", ["site", "rotate"])
def test_other_playbooks_tell_the_remedy_too(production, playbook):
    production.run()
    other = production.root / "other"
    other.write_text("another password of a vault\n")
    given = ("--vault-password-file", other)
    production.refuses("vault.yml cannot be opened with the vault password", given=given, playbook=playbook)
    production.refuses("vault.yml is encrypted, and no vault password was given", given=(), playbook=playbook)


def test_a_damaged_vault_is_refused(production):
    production.run()
    production.vault.write_bytes(production.vault.read_bytes()[:500])
    production.refuses("cannot be opened", "restore it from Git")


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_vault_that_is_not_yaml_is_refused_without_a_line_of_it(production, encrypted):
    text = "platform_secrets:\n  redis_nest: sentinel\n  : [\n"
    content = VaultLib([]).encrypt(text, VaultSecret(PASSWORD.encode())) if encrypted else text.encode()
    production.vault.write_bytes(content)
    command = "ansible-vault edit" if encrypted else "edit"
    output = production.refuses("is not valid YAML", f"Correct it: {command} {production.vault}")
    assert "sentinel" not in output


def test_secrets_from_elsewhere_are_left_alone(production):
    production.vault.unlink()
    (production.inventory / "group_vars/all/secrets.yml").write_text("platform_secrets: \"{{ lookup('env', 'X') }}\"\n")
    production.refuses("is set elsewhere", "group_vars/all/secrets.yml:1")


def test_a_typed_password_is_asked_for_twice(production):
    production.refuses(
        "the two vault passwords are not the same", given=["--ask-vault-pass"], typed=f"{PASSWORD}\nslip\n"
    )
    status, output = production.run(given=["--ask-vault-pass"], typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert status == 0, output
    assert PASSWORD not in output
    assert set(production.secrets()) == PLACEHOLDERS
    status, output = production.run(given=["--ask-vault-pass"], typed=f"{PASSWORD}\n")
    assert status == 0, output


def test_a_vault_id_goes_into_the_header_and_stays_there(production):
    given = ("--vault-id", f"prod@{production.password}")
    assert production.run(given=given)[0] == 0
    production.vault.write_bytes(production.vault.read_bytes())
    (production.inventory / "group_vars/all/more.yml").write_text("more: '{{ platform_secrets.more }}'\n")
    assert production.run(given=given)[0] == 0
    assert production.vault.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;prod\n")
    assert "more" in production.secrets()


def test_a_weak_password_of_the_vault_itself_is_warned_of(production):
    production.password.write_text("admin\n")
    status, output = production.run()
    assert status == 0
    assert "The vault password is a default that everybody knows" in output


def test_plain_keys_are_named_with_the_command(production):
    (production.inventory / "peer").mkdir()
    plain, encrypted = (production.inventory / f"peer/{name}.key" for name in ("plain", "encrypted"))
    plain.write_text(PEM)
    encrypted.write_bytes(VaultLib([]).encrypt(PEM, VaultSecret(PASSWORD.encode())))
    _, output = production.run()
    assert re.search(rf"encrypt them too: ansible-vault encrypt {plain}(?! {encrypted})", output)
    assert plain.read_text() == PEM


def test_an_encrypted_key_of_the_authority_is_used_and_not_made_anew(production):
    def certify():
        hosts = production.inventory / "hosts.yml"
        return production.ansible("playbook", "-i", hosts, "playbooks/peer_authority.yml", "-vvv", "--diff")

    status, output = certify()
    assert status == 0, output
    # Those of the machines are made there.
    assert sorted(path.name for path in (production.inventory / "peer").iterdir()) == ["authority.crt", "authority.key"]
    key = production.inventory / "peer/authority.key"
    plain = key.read_text()
    assert production.ansible("vault", "encrypt", key)[0] == 0
    before = production.files()
    status, output = certify()
    assert status == 0, output
    assert "changed=0" in output
    assert production.files() == before
    # The first line has the secret number; the last is the public key's.
    assert plain.splitlines()[1] not in output

    # A certificate that is lost is signed anew, with the key that the machines know.
    lost = production.inventory / "peer/authority.crt"
    lost.unlink()
    assert certify()[0] == 0
    after = production.files()
    assert {path for path in before if after[path] != before[path]} == {lost}
