"""Small file systems to fill up or to make read-only; only root can make them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted_tmpfs(place: Path, size: str) -> Iterator[Path]:
    """Mount a tmpfs of *size* at *place*; skip the test where that isn't allowed."""
    place.mkdir()
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    if mounted.returncode:
        pytest.skip(f"can't mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        _run("umount", "--lazy", str(place)).check_returncode()


def remount_read_only(place: Path) -> None:
    """Make the file system at *place* read-only."""
    _run("mount", "-o", "remount,ro", str(place)).check_returncode()


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
