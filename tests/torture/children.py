"""Start children with the shim loaded: from a warm fork server, or from a fresh interpreter."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from .shim import preloaded

WARM = multiprocessing.get_context("forkserver")
FRESH = multiprocessing.get_context("spawn")

# Imports cost a child 1 s, a fork 10 ms. The server has imported the store and
# opened none, so that its children are like fresh ones but for that second.
WARM.set_forkserver_preload(["__main__", f"{__package__}.savers", f"{__package__}.keepers"])


class Children:
    """Processes that die with the test that started them."""

    def __init__(self, library: Path) -> None:
        """Load *library* into all of them."""
        self._library = library
        self._started: list[BaseProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._started:
            if child.is_alive():
                child.kill()
            child.join(30)

    @property
    def context(self) -> ForkServerContext:
        """What makes events and values that children share with the test."""
        return WARM

    def start(
        self, target: Callable[..., None], *arguments: object, fresh: bool = False
    ) -> BaseProcess:
        """Start a child on *target*, which can be imported; *fresh* with its own interpreter."""
        context: ForkServerContext | SpawnContext = FRESH if fresh else WARM
        child = context.Process(target=target, args=arguments)
        with preloaded(self._library):
            child.start()
        self._started.append(child)
        return child

    def run(
        self,
        target: Callable[..., None],
        *arguments: object,
        fresh: bool = False,
        timeout_s: float = 60.0,
    ) -> int:
        """Start a child and wait for its exit code; see `finish`."""
        return finish(self.start(target, *arguments, fresh=fresh), timeout_s)


def finish(child: BaseProcess, timeout_s: float = 60.0) -> int:
    """Wait for a child and return its exit code, -9 if it was killed.

    Raises:
        AssertionError: It still runs after *timeout_s* seconds.
    """
    child.join(timeout_s)
    if child.exitcode is None:
        child.kill()
        child.join(30)
        raise AssertionError(f"child {child.pid} hung for {timeout_s:.0f} s")
    return child.exitcode


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Ask *condition* until it is true.

    Raises:
        AssertionError: *what* didn't happen within *timeout_s* seconds.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(0.005)


def is_stopped(pid: int) -> bool:
    """Tell whether a process was stopped by SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
