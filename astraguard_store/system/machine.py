"""Learning of a run's software and machine what a process can learn by itself.

Git is asked once a process and directory, from when a store is opened for writing:
the code that runs was loaded when the process started, so what git says later would
be no truer. The process that asks is the future: a save takes what it has written.
What can't be learned is None; nothing here raises or fails a save.

Nothing that the checkout names is run, and nothing is written by git.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from time import monotonic
from typing import Final

from astraguard_store.provenance import MAX_TEXT_CHARACTERS, Provenance
from astraguard_store.system.forks import in_forked_child

logger = logging.getLogger("astraguard_store")

PATIENCE_S = 0.25
"""How long after the asking began a save waits for git at most."""

GIVE_UP_S = 5.0
"""When a git that doesn't answer is ended, by the next save."""

REPOSITORY_VARIABLES: Final = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
"""What names a repository other than the directory's own, as inside of a git hook;
``git rev-parse --local-env-vars`` lists them."""

# A status runs filters where a file's time has changed, so those that any configuration
# names are emptied first. Then a file that one applies to may look changed, and is listed
# apart. A submodule's filters are out of reach, so only its commit counts. Nothing is started
# that stays (fsmonitor), and what can take long and isn't needed is left out.
_SCRIPT: Final = """
keys=$(git config --name-only --get-regexp '^filter[.]')
code=$?
[ $code -le 1 ] || exit $code
number=0
while IFS= read -r key; do
    [ -n "$key" ] || continue
    export "GIT_CONFIG_KEY_$number=$key" "GIT_CONFIG_VALUE_$number="
    number=$((number + 1))
done <<END
$keys
END
export GIT_CONFIG_COUNT=$number
changes() {
    git --no-pager -c core.fsmonitor=false -c core.hooksPath=/dev/null \
        status --porcelain=v2 --untracked-files=no --ignore-submodules=dirty \
        --no-ahead-behind --no-renames "$@"
}
{
    if [ $number = 0 ]; then
        changes --branch
    else
        changes --branch -- ':(top,attr:!filter)' && echo '# filtered' && changes
    fi
    echo "# status $?"
} | head -c 60000
"""
# The names of changed files may be many; that there is one says enough.
_LONGEST_ANSWER_BYTES: Final = 60_000

_SETTINGS: Final = {
    "GIT_OPTIONAL_LOCKS": "0",  # not even the index is refreshed
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",  # a partial clone asks no server
    "GIT_ALLOW_PROTOCOL": "none",  # the same for a git that doesn't know it
    "LC_ALL": "C",
}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CHANGED = ("1 ", "2 ", "u ")


def begin_asking() -> None:
    """Ask git about the working directory, if it hasn't been asked; takes some 1 ms.

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
    sure, _, filtered = status.partition("\n# filtered\n")
    lines = sure.split("\n")
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
        git_dirty=None if unborn else _is_dirty(lines, filtered.split("\n")),
    )


def _is_dirty(sure: list[str], filtered: list[str]) -> bool | None:
    """Return whether a file is changed; None if only a filter, which isn't run, could tell."""
    if any(line.startswith(_CHANGED) for line in sure):
        return True
    changed = [line for line in filtered if line.startswith(_CHANGED)]
    # What is staged has been through its filter: "1 M." and not "1 .M".
    if any(line[2:3] != "." for line in changed):
        return True
    return None if changed else False


class _Asking:
    """One question to git about one directory; any thread may take the answer."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._began = monotonic()
        self._answer: Provenance | None = None
        self._git: subprocess.Popen[bytes] | None = None
        self._output = -1
        try:
            # In memory: there may be no room for a file, and a pipe waits for its reader.
            self._output = os.memfd_create("git")
            self._git = subprocess.Popen(  # noqa: S603 - no word of it is from outside
                ["/bin/sh", "-c", _SCRIPT],
                cwd=directory,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
                # A group of its own: it is ended with what it started, and Ctrl-C is
                # for this process only.
                process_group=0,
            )
        except (OSError, RuntimeError) as error:  # there is no room, or the interpreter ends
            self._conclude(error)

    def answer(self) -> Provenance:
        """Return what is known, after a wait if it is early."""
        if self._answer is None:
            asked_for_s = monotonic() - self._began
            if self._is_over_within(min(PATIENCE_S, GIVE_UP_S) - asked_for_s):
                self._conclude(None)
            elif monotonic() - self._began >= GIVE_UP_S:
                self.end()
                self._conclude(TimeoutError("git didn't answer"))
        return self._answer or _machine()

    def end(self) -> None:
        if self._git is None or self._git.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._git.pid, signal.SIGKILL)
        # No longer: a git that waits for a dead disk can't even be killed.
        self._is_over_within(1.0)

    def forget(self) -> None:
        """Leave git to the parent, in a forked child: it isn't ours to wait for."""
        if self._git is not None:
            # Else the child complains that it is still running.
            self._git.returncode = 0
        self._close()

    def _is_over_within(self, timeout_s: float) -> bool:
        assert self._git is not None  # noqa: S101 - or it is answered
        try:
            self._git.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _conclude(self, failure: Exception | None) -> None:
        with _lock:
            if self._answer is not None:
                return
            try:
                if failure is not None:
                    raise failure
                self._answer = self._read().filled_from(_machine())
            except (OSError, RuntimeError, ValueError) as error:
                logger.debug("Nothing is known of git in %r: %s", self._directory, error)
                self._answer = _machine()
            self._close()

    def _read(self) -> Provenance:
        written = os.pread(self._output, _LONGEST_ANSWER_BYTES, 0)
        text = written.decode("utf-8", "replace")
        if len(written) < _LONGEST_ANSWER_BYTES:
            text, ended, code = text.rpartition("# status ")
            if not ended and self._git is not None:
                code = str(self._git.returncode)
            if code.strip() != "0":
                raise ValueError(f"git ended with status {code.strip()}")
        return git_fields(text)

    def _close(self) -> None:
        output, self._output = self._output, -1
        if output >= 0:
            os.close(output)


def _environment() -> dict[str, str]:
    """Return the environment, without what names another repository or a relative program."""
    kept = {name: value for name, value in os.environ.items() if name not in REPOSITORY_VARIABLES}
    absolute = filter(os.path.isabs, os.get_exec_path(kept))
    return kept | _SETTINGS | {"PATH": os.pathsep.join(absolute)}


_askings: dict[str, _Asking] = {}
# Again by the same thread: what is collected meanwhile may save.
_lock = threading.RLock()
_is_ending = False


def _asking() -> _Asking | None:
    try:
        directory = os.getcwd()
    except OSError:  # it was deleted
        return None
    with _lock:
        if directory not in _askings:
            if _is_ending:
                return None
            _askings[directory] = _Asking(directory)
        return _askings[directory]


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


def _forget_unanswered() -> None:
    """Keep the answers in a forked child; what was still being asked is asked anew."""
    global _lock
    _lock = threading.RLock()
    for directory, asking in tuple(_askings.items()):
        if asking._answer is None:
            asking.forget()
            del _askings[directory]


@atexit.register
def _end_all() -> None:
    global _is_ending
    _is_ending = True
    for asking in tuple(_askings.values()):
        asking.end()


in_forked_child(_forget_unanswered)
