"""Run the full forms of the fault tests, and print the table: `python -m tests.torture`.

Options are those of pytest: `-k power`, `-n 1`, `--durations=20`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    here = str(Path(__file__).parent)
    workers = str(len(os.sched_getaffinity(0)))
    options = ["-m", "torture", "-q", "-n", workers, "--dist", "worksteal"]
    sys.exit(pytest.main([here, *options, *sys.argv[1:]]))
