"""An inventory made of the example, the password of its vault, and runs of Ansible with both."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "inventories/example"
PASSWORD = "a long password of a vault"


class Production:
    """An inventory, the password of its vault, and runs of Ansible with both."""

    def __init__(self, root):
        self.root, self.inventory, self.password = root, root / "production", root / "password"
        self.vault = self.inventory / "group_vars/all/vault.yml"
        shutil.copytree(EXAMPLE, self.inventory)
        (root / "temporary").mkdir()
        self.password.write_text(f"{PASSWORD}\n")

    def ansible(self, program, *arguments, given=None, typed=None):
        """Run a program of Ansible; return its status and what it said, with single spaces."""
        given = ("--vault-password-file", self.password) if given is None else given
        done = subprocess.run(
            [sys.executable, "-m", "ansible", program, *map(str, (*arguments, *given))],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_LOCAL_TEMP": str(self.root / "temporary"),
                "COLUMNS": "1000",
            },
            input=typed,
            start_new_session=True,  # a password is asked for at standard input, not at this terminal
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def run(self, *arguments, inventory=None, playbook="secrets", **options):
        return self.ansible(
            "playbook", "-i", inventory or self.inventory, f"playbooks/{playbook}.yml", *arguments, **options
        )

    def text(self):
        content = self.vault.read_bytes()
        assert content.startswith(b"$ANSIBLE_VAULT;")
        return bytes(VaultLib([("default", VaultSecret(PASSWORD.encode()))]).decrypt(content)).decode()

    def secrets(self):
        return yaml.safe_load(self.text())["platform_secrets"]

    def write(self, text):
        self.vault.write_text(text)

    def refuses(self, *words, arguments=(), **options):
        """Run it, and see that it is refused with `words` and that no file was touched."""
        before = self.files()
        status, output = self.run(*arguments, **options)
        assert status != 0
        assert "Nothing was changed: " in output
        assert "Traceback" not in output
        for word in words:
            assert word in output, output
        assert self.files() == before
        return output

    def files(self):
        return {path: path.read_bytes() for path in self.inventory.rglob("*") if path.is_file()}
