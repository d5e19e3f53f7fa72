"""Run the load on the lab's client, or in a container of its image, for as long as a `with` lasts."""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .summary import Flip, Summary, summarise

HERE = Path(__file__).parent
CLIENT = "protostar-client"
PLACE = "/root/load.pyz"
MAIN = "from load.__main__ import main\nmain()\n"
# About 200 requests a second, and some of everything else.
USUAL = {
    "get": 10, "post": 4, "http2": 6, "slow-body": 2, "slow-read": 2, "slow-answer": 3, "sse": 3, "websocket": 3,
}  # fmt: skip
WARM = 1.5  # seconds


class GeneratorError(Exception):
    """The load itself did not run as it should; its figures mean nothing."""


def program() -> bytes:
    """Pack the load as a program that Python runs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("__main__.py", MAIN)
        for path in sorted((HERE / "load").glob("*.py")):
            archive.writestr(f"load/{path.name}", path.read_bytes())
    return packed.getvalue()


class Load:
    """Clients on the lab's client machine.

    Args:
        container: Where they run.
        options: Options of the load, such as `rate`, and how many clients of each kind, by default some of all.

    """

    def __init__(self, container: str = CLIENT, **options: object) -> None:
        chosen = {name.replace("_", "-"): value for name, value in options.items()}
        if not set(chosen) & set(USUAL):
            chosen = {**USUAL, **chosen}
        self._container = container
        self._arguments = [f"--{name}={value}" for name, value in chosen.items()]
        self.lines: list[dict[str, Any]] = []

    def __enter__(self) -> Load:
        """Begin, and wait until every client has asked at least once."""
        put = ["docker", "exec", "-i", self._container, "sh", "-c", f"cat > {PLACE}"]
        subprocess.run(put, input=program(), check=True)
        self._directory = tempfile.TemporaryDirectory(prefix="load-")
        self._output = Path(self._directory.name, "output")
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                ["docker", "exec", "-i", self._container, "python3", PLACE, *self._arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        time.sleep(WARM)
        if self._process.poll() is not None:
            raise GeneratorError(f"the load ended at once: {self._told()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and read what it told."""
        self._process.communicate()
        told = self._told()
        self.lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
        self._directory.cleanup()
        if kind is None and (self._process.returncode or "ended" not in (self.lines or [{}])[-1]):
            raise GeneratorError(f"the load ended with {self._process.returncode}: {told[-2000:]}")

    def so_far(self) -> list[dict[str, Any]]:
        """Return what the load told until now."""
        return [json.loads(line) for line in self._told().splitlines() if line[:1] + line[-1:] == "{}"]

    def summary(self, flips: Sequence[Flip] = (), mixed: Iterable[str] = ()) -> Summary:
        """Judge what was told."""
        return summarise(self.lines, flips, mixed)

    def _told(self) -> str:
        return self._output.read_text()
