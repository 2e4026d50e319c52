"""Describes the machine and the commit that the figures belong to."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("astraguard-store", "sqlalchemy", "alembic", "polars", "numpy", "orjson")
CHECKOUT = Path(__file__).parents[1]


def describe_machine(folder: Path) -> dict[str, str]:
    """Return commit, CPU, memory, kernel, versions, *folder*'s file system, load and date."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory_bytes / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": file_system(folder),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{library: version(library) for library in LIBRARIES},
        "load": f"{_load()} at the start",
    }


def with_load_at_end(machine: dict[str, str]) -> dict[str, str]:
    """Return the description of the start with the load of now added."""
    return {**machine, "load": f"{machine['load']}, {_load()} at the end"}


def commit(checkout: Path = CHECKOUT) -> str:
    """Return the short hash of the checkout's commit, `unknown` where git can't tell.

    `+changes` follows it where tracked files differ from the commit.
    """
    # An unpacked archive may lie in a checkout of something else.
    if not (checkout / ".git").exists():
        return "unknown"
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+changes"]
    # Not even the index is refreshed.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        answer = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def file_system(folder: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the file system that holds *folder*, such as `ext4`."""
    resolved = folder.resolve()
    longest, found = 0, "unknown"
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, mount_point, kind = line.split()[:3]
        # Of two mounts at one place the later one hides the other.
        if len(mount_point) >= longest and resolved.is_relative_to(mount_point):
            longest, found = len(mount_point), kind
    return found


def _load() -> str:
    """Return how many processes wanted to run in the last minute."""
    return f"{os.getloadavg()[0]:.2f}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        label, _, model = line.partition(":")
        if label.strip() == "model name":
            return model.strip()
    return platform.machine()
