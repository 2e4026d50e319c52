"""What a process can learn by itself of a run's software and machine.

Git is asked once a process and directory, in the background, from when a store is
opened for writing: the code that runs was loaded when the process started, so what
git says later would be no truer, and a save shouldn't wait for it. What can't be
learned is None; nothing here raises or fails a save.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from time import monotonic

from astraguard_store.provenance import MAX_TEXT_CHARACTERS, Provenance

__all__ = ["begin_asking", "git_fields", "surroundings"]

logger = logging.getLogger("astraguard_store")

PATIENCE_S = 0.25
"""How long after the asking began a save waits for git at most."""

GIVE_UP_S = 5.0
"""When a git that doesn't answer is ended."""

# The names of changed files may be many; that there is one says enough.
_LONGEST_ANSWER_BYTES = 64 * 1024

# How soon an asking notices that the process wants to end.
_STEP_S = 0.05

# No file of the repository is written, nothing is started that stays (fsmonitor),
# and what can take long and isn't needed is left out.
_COMMAND = (
    "git",
    "-c",
    "core.fsmonitor=false",
    "status",
    "--porcelain=v2",
    "--branch",
    "--untracked-files=no",
    "--no-ahead-behind",
    "--no-renames",
)
_SETTINGS = {
    "GIT_OPTIONAL_LOCKS": "0",  # not even the index is refreshed
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",  # a partial clone asks no server
    "LC_ALL": "C",
}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CHANGED = ("1 ", "2 ", "u ")


def begin_asking() -> None:
    """Ask git about the working directory, if it hasn't been asked; takes some 0.1 ms.

    Any thread may call this. It is for stores that are opened for writing: a reader
    starts no git.
    """
    _asking()


def surroundings() -> Provenance:
    """Return host, platform, Python, and what git says of the working directory.

    Waits for git until 0.25 s after it was asked, and from then on never: the git
    fields are None until its answer is there, and for good if none comes.
    """
    asking = _asking()
    return _machine() if asking is None else asking.answer()


def git_fields(status: str) -> Provenance:
    """Return what the output of ``git status --porcelain=v2 --branch`` says.

    Raises:
        ValueError: It is something else.
    """
    lines = status.split("\n")
    headings = dict(
        line.rsplit(" ", 1)
        for line in lines
        if line.startswith("# branch.") and line.count(" ") == 2
    )
    commit = headings.get("# branch.oid", "")
    branch = headings.get("# branch.head", "(detached)")
    unborn = commit == "(initial)"
    if not (unborn or _COMMIT.fullmatch(commit)):
        raise ValueError(f"git wrote {status[:60]!r}")
    return Provenance(
        git_commit=None if unborn else commit,
        git_branch=None if branch == "(detached)" else _storable(branch),
        git_dirty=None if unborn else any(line.startswith(_CHANGED) for line in lines),
    )


class _Asking:
    """One question to git about one directory, put by a thread of its own.

    Any thread may take the answer.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._patient_until = monotonic() + PATIENCE_S
        self._answer = _machine()
        self._over = False
        self._ending = False
        self._thread = threading.Thread(
            target=self._ask, name="astraguard_store: git", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:  # the interpreter ends, or no thread is to be had
            self._over = True
            _say_unknown(directory, error)

    def answer(self) -> Provenance:
        """Return what is known, after a wait if it is early."""
        self.wait()
        return self._answer

    def wait(self) -> None:
        """Wait for the answer, at most until `PATIENCE_S` after it was asked for."""
        remaining = self._patient_until - monotonic()
        if not self._over and remaining > 0:
            self._thread.join(remaining)

    def is_over(self) -> bool:
        """Whether there is nothing to wait for, now and later."""
        return self._over

    def end(self) -> None:
        """End git and the thread that waits for it, with the process."""
        self._ending = True
        if not self._over:
            # No longer: a git that waits for a dead disk can't even be killed.
            self._thread.join(1.0)

    def _ask(self) -> None:
        try:
            status = self._status().decode("utf-8", "replace")
            self._answer = git_fields(status).filled_from(self._answer)
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            _say_unknown(self._directory, error)
        finally:
            self._over = True

    def _status(self) -> bytes:
        give_up_at = monotonic() + GIVE_UP_S
        with subprocess.Popen(  # noqa: S603 - no word of it is from outside
            _COMMAND,
            cwd=self._directory,
            env={**os.environ, **_SETTINGS},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # A group of its own: it is ended with what it started, and Ctrl-C is
            # for this process only.
            process_group=0,
        ) as git:
            try:
                assert git.stdout is not None  # noqa: S101 - for mypy
                status = self._read(git.stdout.fileno(), give_up_at)
                if len(status) < _LONGEST_ANSWER_BYTES and git.wait(timeout=0.5):
                    raise ValueError(f"git ended with status {git.returncode}")
                return status
            finally:
                if git.poll() is None:
                    with suppress(ProcessLookupError):
                        os.killpg(git.pid, signal.SIGKILL)

    def _read(self, pipe: int, until: float) -> bytes:
        readable = select.poll()
        readable.register(pipe, select.POLLIN)
        status = b""
        while len(status) < _LONGEST_ANSWER_BYTES:
            if self._ending or monotonic() > until:
                raise TimeoutError("git didn't answer")
            if not readable.poll(_STEP_S * 1000):
                continue
            if not (chunk := os.read(pipe, _LONGEST_ANSWER_BYTES)):
                break
            status += chunk
        return status


_askings: dict[str, _Asking] = {}
# Of the kind that a signal's way into a save can take again.
_lock = threading.RLock()


def _asking() -> _Asking | None:
    try:
        directory = os.getcwd()
    except OSError:  # it was deleted
        return None
    asking = _askings.get(directory)
    if asking is None:
        with _lock:
            asking = _askings.get(directory)
            if asking is None:
                asking = _askings[directory] = _Asking(directory)
    return asking


def _say_unknown(directory: str, reason: BaseException) -> None:
    logger.debug("Nothing is known of git in %r: %s", directory, reason)


@lru_cache(maxsize=1)
def _machine() -> Provenance:
    # By os.uname: `platform.platform()` takes 7 ms, and may start a process for the
    # processor's name.
    system, host, release, _, machine = os.uname()
    library = ""
    with suppress(OSError, ValueError):  # musl names no version
        library = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
    parts = [system, release, machine, *(["with", library] if library else [])]
    return Provenance(
        host=_storable(host),
        platform=_storable("-".join(parts)),
        python=".".join(map(str, sys.version_info[:3])),
    )


def _storable(text: str) -> str | None:
    """Return *text* as `Provenance` takes it; None if nothing is left."""
    kept = text[:MAX_TEXT_CHARACTERS].replace("\0", "")
    return kept.encode("utf-8", "replace").decode("utf-8") or None


def _before_fork() -> None:
    """Let the threads end: Python 3.12 warns of a fork beside one, and a lock may be held."""
    for asking in tuple(_askings.values()):
        asking.wait()


def _after_fork_in_child() -> None:
    """Keep the answers; what was still being asked is asked anew."""
    global _lock
    _lock = threading.RLock()
    for directory, asking in tuple(_askings.items()):
        if not asking.is_over():
            del _askings[directory]


def _at_exit() -> None:
    for asking in tuple(_askings.values()):
        asking.end()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
