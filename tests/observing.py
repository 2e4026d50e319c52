"""Watching the store work: in a fresh process, by the calls it makes, by the files it leaves."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import reference

SAVE_RUN_001 = """
    import sys
    from astraguard_store import MetricsStorage
    from recordings import recorded
    MetricsStorage("run_001", sys.argv[1]).save_latency_stats(recorded(5))
"""


OPEN_AND_CLOSE = """
    import sys
    from astraguard_store import RunRepository
    RunRepository.open(sys.argv[1]).close()
"""


FILE_SYSTEM_CALLS = {"stat", "lstat", "access", "open", "listdir", "scandir", "is_dir", "is_file"}


def in_child(program: str, *arguments: object, **environment: str) -> str:
    """Run *program* in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(reference.TESTS)} | environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def profiled() -> Iterator[Counter[str]]:
    """Count the calls, by function name, of this thread and of those it starts."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            calls[argument.__name__] += 1
        elif event == "call":
            calls[frame.f_code.co_name] += 1

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def assert_files_agree(folder: Path) -> int:
    """Check that JSON and CSV of a run tell the same; return the number of measurements."""
    rows = reference.read_rows(folder / reference.RAW)
    written = reference.read_document(folder / reference.SUMMARY)
    expected = reference.document(folder.name, written["timestamp"], rows)
    assert reference.ordered_pairs(written) == reference.ordered_pairs(expected)
    return len(rows)


@contextmanager
def locked_by_a_tool(results: Path) -> Iterator[None]:
    """Hold SQLite's write lock as a tool does that knows no ticket."""
    database = results / "astraguard.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        yield
        tool.execute("ROLLBACK")


def dump(database: Path) -> list[str]:
    """Return all that is in a database, as SQL."""
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def flip_a_byte(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
