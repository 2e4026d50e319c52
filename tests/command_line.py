"""The command line, run in this process, in one of its own, or on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from astraguard_store import RunRepository
from astraguard_store.cli import main


def run(*args: str | Path, env: Mapping[str, str] | None = None) -> Result:
    """Run a command line in this process."""
    return CliRunner().invoke(
        main, [str(arg) for arg in args], env=env, prog_name="astraguard-store"
    )


def run_json(*args: str | Path) -> dict[str, Any]:
    result = run(*args, "--json")
    shape: dict[str, Any] = json.loads(result.stdout)
    return shape


def save_run(results: Path, *arguments: str, standard_input: str | bytes = "") -> Result:
    """Call the command `save` for the run named run."""
    words = ["save", "run", *arguments, "--results", str(results)]
    return CliRunner().invoke(main, words, input=standard_input)


def stored_rows(results: Path) -> list[tuple[Any, ...]]:
    """Give the rows of the run named run as they are kept, without the times of recording."""
    with RunRepository.open(results, read_only=True) as repository:
        return repository.measurements("run").drop("timestamp").rows()


def assert_one_line(result: Result, *words: str) -> None:
    """Assert that the command complained in one line, and with these words."""
    assert result.stdout == ""
    assert result.stderr.startswith("astraguard-store: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def command_line(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "astraguard_store", *map(str, args)]


def on_terminal(columns: int, *args: str | Path, **env: str) -> str:
    """Return what a command writes on a terminal of that many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "NO_COLOR"}}
    environment = kept | {"TERM": "xterm-256color", **env}
    with subprocess.Popen(command_line(*args), stdout=slave, env=environment):
        os.close(slave)
        written = b""
        try:
            while chunk := os.read(master, 65536):
                written += chunk
        except OSError:
            pass  # Linux ends a terminal that nobody writes to any more with EIO
    os.close(master)
    return written.decode().replace("\r\n", "\n")


def asked_on_terminal(answer: str, *args: str | Path) -> tuple[int, str]:
    """Run a command that asks, on a terminal where *answer* is typed.

    Returns:
        Its exit code, and all that is on the terminal then.
    """
    master, slave = pty.openpty()
    os.write(master, f"{answer}\n".encode())
    with subprocess.Popen(command_line(*args), stdin=slave, stdout=slave, stderr=slave) as asking:
        os.close(slave)
        written = b""
        try:
            while chunk := os.read(master, 65536):
                written += chunk
        except OSError:
            pass  # Linux ends a terminal that nobody writes to any more with EIO
    os.close(master)
    return asking.returncode, written.decode().replace("\r\n", "\n")
