"""Scripts that need a process of their own, and how they are started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.harness import Bench

ROOT = Path(__file__).parents[2]


def run_child(bench: Bench, script: str, *arguments: str) -> str:
    """Run the script of that name in a fresh interpreter; see `run_command`."""
    return run_command(bench, [sys.executable, "-m", f"benchmarks.children.{script}", *arguments])


def run_command(bench: Bench, command: list[str]) -> str:
    """Run a program and return what it printed.

    Byte code is kept in the benchmark's folder, whatever the environment says of it:
    an installed program doesn't compile itself at each start.

    Raises:
        subprocess.CalledProcessError: It failed; its stderr was passed on.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(bench.folder / "pycache")
    child = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        # A group of its own: Ctrl-C is for this process, which kills the child then.
        process_group=0,
    )
    return child.stdout
