"""Where the services' images come from: the upstream registries, or Debian's packages."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

REGISTRIES = {
    "docker.io": "https://registry-1.docker.io/v2/",
    "quay.io": "https://quay.io/v2/",
    "ghcr.io": "https://ghcr.io/v2/",
}
PATIENCE = 3.0


def probe(url: str) -> bool:
    """Tell whether a registry answers: 200, or 401 before a login; a proxy's refusal is another status."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False


def choose(asked: str, answers: Callable[[str], bool] = probe, patience: float = PATIENCE) -> tuple[str, str]:
    """Choose `upstream` or `debian`, and say why; `auto` asks the registries, for `patience` seconds in all."""
    if asked != "auto":
        return asked, "as asked"
    reached: set[str] = set()

    def ask(name: str) -> None:
        if answers(REGISTRIES[name]):
            reached.add(name)

    # Daemons, since a name look-up knows no time limit of its own and must not hold up the exit.
    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in REGISTRIES]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    silent = [name for name in REGISTRIES if name not in reached]
    if silent:
        return "debian", f"{', '.join(silent)} cannot be reached, so images are built from Debian 13 packages"
    return "upstream", f"{', '.join(REGISTRIES)} answer, so the pinned upstream images are used"
