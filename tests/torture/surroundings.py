"""What a process of its own does in surroundings that somebody else has made for it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .cases import Case

SCRIPT = """
import os, sys, warnings
from pathlib import Path
from tests.torture.cases import Case
from tests.torture.ledger import Ledger
from tests.torture.savers import AGAIN, NEW, delete, save
from astraguard_store import MetricsStorage, RunRepository, StoreError
case = Case(Path(sys.argv[1]))
ledger = Ledger(case.ledger)
try:
    with RunRepository.open(case.results) as repository:
        save(repository, ledger, NEW)
        save(repository, ledger, AGAIN, 3_000)
        repository.measurements(AGAIN)
        repository.recent()
        delete(repository, ledger, "doomed")
        repository.check(fix=True)
    MetricsStorage.get_recent_runs(str(case.results))
    MetricsStorage(AGAIN, str(case.results)).get_run_metrics()
except StoreError as error:
    print(f"typed: {type(error).__name__}: {error}", file=sys.stderr)
    os._exit(3)
"""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How a process is started.

    Attributes:
        variables: Set in its environment; None removes one.
        flags: Of the interpreter.
        prepare: Called in the child before it begins.
        may_fail: It may end with an error of ours, when what is missing is needed.
    """

    variables: Mapping[str, str | None] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    prepare: Callable[[], object] = _nothing
    may_fail: bool = False


def _limit(kind: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (most, most))


def _close_streams() -> None:
    # What is opened next gets these numbers, and whoever prints writes into it.
    for descriptor in (0, 1, 2):
        os.close(descriptor)


def _leave_folder() -> None:
    place = Path(f"/tmp/astraguard-gone-{os.getpid()}")
    place.mkdir()
    os.chdir(place)
    place.rmdir()


NOWHERE = "/nonexistent/folder"
GIT = {
    "GIT_DIR": NOWHERE,
    "GIT_WORK_TREE": NOWHERE,
    "GIT_INDEX_FILE": NOWHERE,
    "GIT_OBJECT_DIRECTORY": NOWHERE,
    "GIT_CONFIG_COUNT": "many",
    "GIT_CEILING_DIRECTORIES": ":::",
}
SURROUNDINGS: dict[str, Surroundings] = {
    "a git hook": Surroundings(GIT),
    "nothing but the interpreter": Surroundings(dict.fromkeys(("HOME", "LANG", "PATH", "TERM"))),
    "no program to be found": Surroundings({"PATH": NOWHERE}),
    "no folder for temporary files": Surroundings(
        dict.fromkeys(("TMPDIR", "TEMP", "TMP", "SQLITE_TMPDIR"), NOWHERE)
    ),
    "ASCII only": Surroundings(
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    ),
    "a strange time zone": Surroundings({"TZ": "Mars/Olympus_Mons"}),
    "half an hour off": Surroundings({"TZ": "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45"}),
    "a store of another in a variable": Surroundings({"ASTRAGUARD_STORE_RESULTS": NOWHERE}),
    "odd numbers in variables": Surroundings(
        {"COLUMNS": "-1", "LINES": "x", "POLARS_FMT_MAX_ROWS": "-5", "OMP_NUM_THREADS": "0"}
    ),
    "one thread for polars": Surroundings({"POLARS_MAX_THREADS": "1"}),
    "no asserts and no docstrings": Surroundings(flags=("-OO",)),
    "warnings are errors": Surroundings(flags=("-W", "error", "-X", "dev")),
    "no bytecode and no user's packages": Surroundings(flags=("-B", "-s", "-P")),
    "closed streams": Surroundings(prepare=_close_streams),
    "a folder that is gone": Surroundings(prepare=_leave_folder),
    "umask 0": Surroundings(prepare=lambda: os.umask(0)),
    "umask 077": Surroundings(prepare=lambda: os.umask(0o077)),
    "umask 0777": Surroundings(prepare=lambda: os.umask(0o777), may_fail=True),
    "24 open files": Surroundings(prepare=_limit(resource.RLIMIT_NOFILE, 24), may_fail=True),
    "14 open files": Surroundings(prepare=_limit(resource.RLIMIT_NOFILE, 14), may_fail=True),
    "10 open files": Surroundings(prepare=_limit(resource.RLIMIT_NOFILE, 10), may_fail=True),
    "small files": Surroundings(prepare=_limit(resource.RLIMIT_FSIZE, 100_000), may_fail=True),
    "no locked memory, no core": Surroundings(prepare=_limit(resource.RLIMIT_MEMLOCK, 0)),
    "a small stack": Surroundings(prepare=_limit(resource.RLIMIT_STACK, 256 * 1024)),
}


def live_in(surroundings: Surroundings, case: Case) -> tuple[int, str]:
    """Save, read, delete and check in them; return how the process ended, and what it said."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_top()), *sys.path])}
    for name, value in surroundings.variables.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    ended = subprocess.run(
        [sys.executable, *surroundings.flags, "-c", SCRIPT, str(case.root)],
        env=variables,
        cwd=case.root,
        preexec_fn=surroundings.prepare,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, ended.stderr[-600:]


def _top() -> Path:
    return Path(__file__).resolve().parents[2]
