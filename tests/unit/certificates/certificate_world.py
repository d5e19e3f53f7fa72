"""Where the program is, and a private authority that signs whatever a test wants."""

import re
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
AGENT = ROOT / "roles/certificates/files/agent"
SHARED = ROOT / "plugins/module_utils"
DAY = 86400  # seconds


def openssl(*arguments, text=None):
    done = subprocess.run(["openssl", *map(str, arguments)], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """A private authority with its key, and what it signs: (chain, key), from a day in days to another."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.key, self.own = directory / f"{name}.key", directory / f"{name}.crt"
        self.key.write_text(openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
        ca = ("-addext", "basicConstraints=critical,CA:TRUE")
        self.own.write_text(
            openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", "3650", *ca)
        )

    def sign(self, *names, begins=-1, ends=90, chain=True, rsa=False, usages="serverAuth"):
        key, made = self.directory / "leaf.key", self.directory / "leaf.csr"
        kind = ("RSA", "rsa_keygen_bits:2048") if rsa else ("EC", "ec_paramgen_curve:P-256")
        key.write_text(openssl("genpkey", "-algorithm", kind[0], "-pkeyopt", kind[1]))
        alternative = "subjectAltName=" + ",".join(
            f"{'IP' if re.search(r'^[0-9.]+$|:', name) else 'DNS'}:{name}" for name in names
        )
        made.write_text(openssl("req", "-new", "-key", key, "-subj", f"/CN={names[0]}", "-addext", alternative))
        extensions = self.directory / "leaf.ext"
        extensions.write_text(alternative + (f"\nextendedKeyUsage={usages}" if usages else ""))
        moments = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * DAY)) for days in (begins, ends)]
        leaf = self._ca(made, extensions, *moments)
        return leaf + (self.own.read_text() if chain else ""), key.read_text()

    def sign_request(self, asked):
        """Sign what is asked for, as it is asked for. Return the certificate."""
        signing = ("-CA", self.own, "-CAkey", self.key, "-days", "397", "-copy_extensions", "copy")
        return openssl("x509", "-req", *signing, text=asked)

    def trusts(self, certificate, purpose):
        """Tell whether who believes this authority takes a certificate for a purpose: sslserver or sslclient."""
        file = self.directory / "asked.crt"
        file.write_text(certificate)
        command = ["openssl", "verify", "-CAfile", self.own, "-purpose", purpose, file]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _ca(self, made, extensions, begins, ends):
        # `openssl x509` of OpenSSL 3.0 takes no dates.
        (self.directory / "index").write_text("")
        settings = self.directory / "ca.cnf"
        settings.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={self.directory}/index\nnew_certs_dir={self.directory}\n"
            "rand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n"
        )
        return openssl(
            *("ca", "-batch", "-notext", "-config", settings, "-cert", self.own, "-keyfile", self.key, "-in", made),
            *("-extfile", extensions, "-startdate", begins, "-enddate", ends),
        )
