# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Opens and writes a vault with the passwords that Ansible was given. Plain text is in memory only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret, is_encrypted, match_encrypt_secret, parse_vaulttext_envelope

HOW = "--vault-password-file, --vault-id, ANSIBLE_VAULT_PASSWORD_FILE or --ask-vault-pass"
PasswordsById = Sequence[tuple[str, VaultSecret]]


@dataclass(frozen=True)
class Vault:
    """A file of an inventory, encrypted, plain or not there yet."""

    path: Path
    content: bytes | None  # as it is on disk
    text: str
    encrypted: bool
    vault_id: str | None = None
    password: VaultSecret | None = None


def refuse(vault: Vault, problem: object) -> AnsibleError:
    """Return what is said when the text of `vault` is of no use; `problem` is a sentence."""
    command = "ansible-vault edit" if vault.encrypted else "edit"
    return AnsibleError(f"Nothing was changed: {show(vault.path)}: {problem} Correct it: {command} {show(vault.path)}.")


def show(path: Path) -> str:
    """Return a path as a person would write it."""
    return str(path).removeprefix(f"{Path.cwd()}/")


def open_vault(path: Path, passwords: PasswordsById | None) -> Vault:
    """Return the vault at `path`.

    Raises:
        AnsibleError: It cannot be read or opened; one sentence with the remedy.

    """
    # A link stays one, and what it leads to is replaced.
    path = Path(os.path.realpath(path))
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Vault(path, None, "", encrypted=False)
    except OSError as error:
        raise AnsibleError(f"Nothing was changed: {show(path)} cannot be read: {error.strerror}.") from None
    if not is_encrypted(content):
        return Vault(path, content, _decode(path, content), encrypted=False)
    if not passwords:
        raise AnsibleError(
            f"Nothing was changed: {show(path)} is encrypted, and no vault password was given. Give the one that it "
            f"was encrypted with: {HOW}."
        )
    try:
        _, _, _, vault_id = parse_vaulttext_envelope(content)
        plain, _, password = VaultLib(passwords).decrypt_and_get_vault_id(content)
    except (AnsibleError, ValueError, IndexError):
        raise AnsibleError(
            f"Nothing was changed: {show(path)} cannot be opened with the vault password that was given. Give the one "
            f"that it was encrypted with ({HOW}); if that is the one, the file is damaged: restore it from Git."
        ) from None
    return Vault(path, content, _decode(path, plain), encrypted=True, vault_id=vault_id, password=password)


def _decode(path: Path, content: bytes) -> str:
    try:
        return bytes(content).decode()
    except UnicodeDecodeError:
        raise AnsibleError(f"Nothing was changed: {show(path)} is not UTF-8. Save it as that.") from None


def choose_password(vault: Vault, passwords: PasswordsById | None) -> tuple[str | None, VaultSecret]:
    """Return the vault id and the password to encrypt `vault` with: its own, or else the one that was given.

    Raises:
        AnsibleError: None was given, or it cannot be told which; one sentence with the remedy.

    """
    if vault.password is not None:
        return vault.vault_id, vault.password
    if not passwords:
        raise AnsibleError(
            "Nothing was changed: no vault password was given. Write a long one into a file that only you can read, "
            f"outside of the repository, and give it as every run of Ansible takes it: {HOW}."
        )
    wanted = C.config.get_config_value("DEFAULT_VAULT_ENCRYPT_IDENTITY")
    ids = sorted({vault_id for vault_id, _ in passwords})
    if (len(ids) > 1 and not wanted) or (wanted and wanted not in ids):
        raise AnsibleError(
            f"Nothing was changed: passwords of the vault ids {', '.join(ids)} were given, and {show(vault.path)} is "
            "not encrypted yet. Name the one to encrypt it with: ANSIBLE_VAULT_ENCRYPT_IDENTITY."
        )
    return match_encrypt_secret(passwords, encrypt_vault_id=wanted)


def write_vault(vault: Vault, text: str, vault_id: str | None, password: VaultSecret) -> None:
    """Put `text` in the place of `vault`, encrypted, as a whole or not at all.

    Raises:
        AnsibleError: It cannot be written, or was changed by somebody else meanwhile. It is as it was.

    """
    content = VaultLib([]).encrypt(text, password, vault_id=vault_id)
    if bytes(VaultLib([("", password)]).decrypt(content)).decode() != text:
        raise AnsibleError(f"Nothing was changed: what would become of {show(vault.path)} could not be opened again.")
    temporary = None
    try:
        vault.path.parent.mkdir(parents=True, exist_ok=True)
        # Ansible does not read files of a name that begins with a dot.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{vault.path.name}.", dir=vault.path.parent)  # of mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if (vault.path.read_bytes() if vault.path.exists() else None) != vault.content:
            raise AnsibleError(
                f"Nothing was changed: {show(vault.path)} was changed by another meanwhile. Run this again."
            )
        Path(temporary).replace(vault.path)
        temporary = None
        _sync(vault.path.parent)
    except OSError as error:
        raise AnsibleError(f"Nothing was changed: {show(vault.path)} cannot be written: {error.strerror}.") from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
