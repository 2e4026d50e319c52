"""Describes the machine that the figures belong to."""

from __future__ import annotations

import os
import platform
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("astraguard-store", "sqlalchemy", "alembic", "polars", "numpy", "orjson")


def describe_machine(folder: Path) -> dict[str, str]:
    """Return CPU, memory, kernel, versions, the file system of *folder*, load and date."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory_bytes / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": file_system(folder),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{library: version(library) for library in LIBRARIES},
        "load": f"{os.getloadavg()[0]:.2f} at the start",
    }


def file_system(folder: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the file system that holds *folder*, such as `ext4`."""
    resolved = folder.resolve()
    best = (0, "unknown")
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, mount_point, kind = line.split()[:3]
        if resolved.is_relative_to(mount_point):
            best = max(best, (len(mount_point), kind))
    return best[1]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        label, _, model = line.partition(":")
        if label.strip() == "model name":
            return model.strip()
    return platform.machine()
