"""Many jobs at a time, each after those it depends on, with a line for each and a sign of life for slow ones."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

HEARTBEAT = 10.0


def say(line: str) -> None:
    """Print a line of progress, at once."""
    print(line, flush=True)


def run(jobs: Mapping[str, Callable[[], str]], after: Mapping[str, list[str]], at_once: int) -> None:
    """Run every job once those of `after` are done; print what each returns, with its seconds.

    After a failure or an interruption nothing is begun; it is raised when the jobs that run beside it have ended.
    """
    order = TopologicalSorter({name: [other for other in after.get(name, []) if other in jobs] for name in jobs})
    order.prepare()
    running: dict[Future[str], str] = {}
    began: dict[str, float] = {}

    def timed(name: str) -> str:
        began[name] = time.monotonic()
        return f"{jobs[name]()} {time.monotonic() - began[name]:.0f} s"

    pool = ThreadPoolExecutor(at_once)
    try:
        while order.is_active():
            running.update({pool.submit(timed, name): name for name in order.get_ready()})
            done, _ = wait(running, timeout=HEARTBEAT, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                say(f"  {name:<18} {future.result()}")
                order.done(name)
            if not done:
                now = time.monotonic()
                busy = [f"{name} {now - began[name]:.0f} s" for name in running.values() if name in began]
                print("  …", ", ".join(busy), file=sys.stderr, flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
