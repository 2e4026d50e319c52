"""Run the full forms of the fault tests, and print the table: `python -m tests.torture`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    here = str(Path(__file__).parent)
    sys.exit(pytest.main([here, "-m", "torture", "-q", *sys.argv[1:]]))
