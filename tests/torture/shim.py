"""The Python side of faultio.c: compile it, load it into a child, and command it there."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SOURCES = [Path(__file__).with_name(name) for name in ("faultio.c", "faultio_calls.c")]
EVERY_KIND = "owstrumal"


class Action(IntEnum):
    """What happens at the step that a fault names. The numbers are those of faultio.c."""

    COUNT = 0
    KILL = 1
    TORN = 2
    SHORT = 3
    FAIL = 4
    STOP = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which the disk below a child fails.

    Attributes:
        at: The step that fails, from 1; 0 counts only.
        action: What happens there.
        error_number: The `errno` of a failed step.
        for_good: Every later step fails too.
        kinds: The kinds of step that count, letters of faultio.c.
        path_part: Only steps on paths that hold this text count.
    """

    at: int = 0
    action: Action = Action.COUNT
    error_number: int = 0
    for_good: bool = False
    kinds: str = EVERY_KIND
    path_part: str = ""


def compiler() -> str | None:
    """Name the C compiler of this machine, if it has one."""
    return next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)


def compile_shim(folder: Path) -> Path:
    """Compile faultio.c into *folder* and return the library."""
    library = folder / "faultio.so"
    name = compiler()
    assert name is not None, "no C compiler: ask compiler() first"
    options = ["-shared", "-fPIC", "-O2", "-o", str(library)]
    subprocess.run([name, *options, *map(str, SOURCES), "-ldl", "-lpthread"], check=True)
    return library


@contextmanager
def preloaded(library: Path) -> Iterator[None]:
    """Load *library* into every process that is started inside this block.

    They also find modules where this one does: up to Python 3.12.2 the fork
    server isn't told, and would preload nothing.
    """
    variables = {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(sys.path)}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


class Shim:
    """The disk of this process, which must have been started with the library preloaded.

    Not thread-safe: command it before the threads start that it is to hit.
    """

    def __init__(self, folder: Path) -> None:
        """Watch what is done below *folder*.

        Raises:
            RuntimeError: The library isn't loaded in this process.
        """
        self._library = ctypes.CDLL(None)
        if not hasattr(self._library, "faultio_watch"):
            raise RuntimeError("faultio.so isn't loaded here: start this process preloaded()")
        self._library.faultio_steps.restype = ctypes.c_long
        self._library.faultio_watch(os.fsencode(folder.resolve()))

    def arm(self, fault: Fault) -> None:
        """Count steps from now on, and let the disk fail as *fault* says."""
        self._library.faultio_arm(
            fault.kinds.encode(),
            fault.path_part.encode(),
            ctypes.c_long(fault.at),
            int(fault.action),
            fault.error_number,
            int(fault.for_good),
        )

    def disarm(self) -> int:
        """Let the disk be well again; return the number of steps since it was armed."""
        self._library.faultio_disarm()
        return int(self._library.faultio_steps())

    @contextmanager
    def armed(self, fault: Fault) -> Iterator[None]:
        """Arm for the length of a block."""
        self.arm(fault)
        try:
            yield
        finally:
            self.disarm()

    def trace(self, path: Path) -> None:
        """Append every step from now on to the trace file *path*, which isn't watched."""
        number = int(self._library.faultio_trace(os.fsencode(path)))
        if number:
            raise OSError(number, os.strerror(number), str(path))

    def note(self, text: str) -> None:
        """Put a line of the caller's into the trace, between the steps around it."""
        self._library.faultio_note(text.encode())

    def delay_syncs(self, delay_ms: float) -> None:
        """Make every fsync below the watched folder take *delay_ms* longer."""
        self._library.faultio_delay_syncs(ctypes.c_long(int(delay_ms * 1000)))

    def shift_clock(self, shift_s: int) -> None:
        """Add *shift_s* to what this process believes the time to be."""
        self._library.faultio_shift_clock(ctypes.c_long(shift_s))
