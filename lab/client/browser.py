#!/usr/bin/python3
"""Load a page in a browser without a screen, and tell as JSON what a person would see.

Speaks Chromium's DevTools protocol over the browser's file descriptors 3 and 4, which takes nothing but Python.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The width of the widest thing beside that of the window tells whether a person has to scroll sideways.
LOOK = """({{
  title: document.title,
  text: document.body.innerText,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  value: {expression},
}})"""


class Browser:
    """A headless Chromium."""

    def __init__(self, profile: str, deadline: float) -> None:
        to_browser, self._commands = os.pipe()
        self._events, from_browser = os.pipe()
        self._deadline = deadline
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.console: list[str] = []
        self.process = subprocess.Popen(
            # Root needs --no-sandbox. Curl checks certificates; Chromium does not know the machine's own authorities.
            ["sh", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "sh",
             "chromium-headless-shell", "--no-sandbox", "--ignore-certificate-errors", "--disable-gpu",
             "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            pass_fds=[to_browser, from_browser],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)

    def send(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """Give a command and return its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer = self.wait(lambda message: message.get("id") == number)
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first message that is wanted; keep what the console said meanwhile."""
        while True:
            while b"\0" not in self._buffer:
                if not select.select([self._events], [], [], max(0, self._deadline - time.monotonic()))[0]:
                    sys.exit("the page was not ready in time")
                self._buffer += os.read(self._events, 1 << 16) or sys.exit("the browser ended")
            raw, _, self._buffer = self._buffer.partition(b"\0")
            message = json.loads(raw)
            self.listen(message)
            if wanted(message):
                return message

    def listen(self, message: dict[str, Any]) -> None:
        """Keep errors and warnings, the page's own and the browser's about it."""
        what, about = message.get("method"), message.get("params", {})
        if what == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description", details["text"]))
        elif what == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.console.append(" ".join(str(item.get("value", item.get("description"))) for item in about["args"]))
        elif what == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.console.append(f"{about['entry']['text']} {about['entry'].get('url', '')}".strip())


def look(browser: Browser, options: argparse.Namespace, login: str) -> dict[str, Any]:
    """Load the page and describe it."""
    target = browser.send("Target.createTarget", url="about:blank")["targetId"]
    session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.send(f"{domain}.enable", session)
    if login:
        basic = base64.b64encode(login.encode()).decode()
        browser.send("Network.setExtraHTTPHeaders", session, headers={"Authorization": f"Basic {basic}"})
    window = {"width": options.width, "height": options.height, "deviceScaleFactor": options.scale}
    browser.send("Emulation.setDeviceMetricsOverride", session, **window, mobile=options.width < 600)
    browser.send("Emulation.setScriptExecutionDisabled", session, value=options.no_script)
    scheme = {"name": "prefers-color-scheme", "value": options.scheme}
    browser.send("Emulation.setEmulatedMedia", session, features=[scheme])
    browser.send("Page.navigate", session, url=options.url)
    browser.wait(lambda message: message.get("method") == "Page.loadEventFired")
    for condition in options.until:
        while not browser.send("Runtime.evaluate", session, expression=condition)["result"].get("value"):
            time.sleep(0.1)
    expression = LOOK.format(expression=options.evaluate)
    seen = browser.send("Runtime.evaluate", session, expression=expression, returnByValue=True)["result"]["value"]
    if options.screenshot:
        # Everything, not only what fits the window.
        picture = browser.send("Page.captureScreenshot", session, captureBeyondViewport=True)
        Path(options.screenshot).write_bytes(base64.b64decode(picture["data"]))
    return {**seen, "console": browser.console}


def main() -> None:
    """Look, and print."""
    parser = argparse.ArgumentParser(prog="browser", description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--width", type=int, default=1280, help="of the window; below 600 it is a phone's")
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--scale", type=float, default=1, help="pixels of the screen for one of the page")
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    parser.add_argument("--no-script", action="store_true", help="without JavaScript of the page")
    parser.add_argument("--until", action="append", default=[], help="an expression that must become true first")
    parser.add_argument("--evaluate", default="null", help="an expression whose value is told too")
    parser.add_argument("--screenshot", help="a PNG file to write")
    parser.add_argument("--login", action="store_true", help="read USER:PASSWORD from standard input")
    parser.add_argument("--timeout", type=float, default=30, help="seconds for everything")
    options = parser.parse_args()
    login = sys.stdin.readline().strip() if options.login else ""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        browser = Browser(profile, time.monotonic() + options.timeout)
        try:
            print(json.dumps(look(browser, options, login)))
        finally:
            browser.process.kill()
            browser.process.wait()


if __name__ == "__main__":
    main()
