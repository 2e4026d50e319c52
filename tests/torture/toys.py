"""Small savers of one file, good and bad, to try the instruments on."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from .shim import Fault, Shim

CONTENT = b"0123456789" * 10


def write_in_place(folder: Path, content: bytes = CONTENT) -> None:
    """Overwrite the file and sync nothing."""
    (folder / "toy").write_bytes(content)


def replace_unsynced(folder: Path, content: bytes = CONTENT) -> None:
    """Move a new file over the old one, but sync neither it nor the folder."""
    (folder / "toy.tmp").write_bytes(content)
    os.replace(folder / "toy.tmp", folder / "toy")


def replace_synced(folder: Path, content: bytes = CONTENT) -> None:
    """Move a new file over the old one as it should be done."""
    with (folder / "toy.tmp").open("wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())
    os.replace(folder / "toy.tmp", folder / "toy")
    sync_folder(folder)


def replace_by_descriptor(folder: Path, content: bytes = CONTENT) -> None:
    """Do the same with paths relative to the folder's descriptor."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fd = os.open("toy.tmp", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=at)
    os.write(fd, content)
    os.fsync(fd)
    os.close(fd)
    os.replace("toy.tmp", "toy", src_dir_fd=at, dst_dir_fd=at)
    os.fsync(at)
    os.close(at)


def replace_by_link(folder: Path, content: bytes = CONTENT) -> None:
    """Do the same, and keep the first name of the new file until the folder is synced."""
    with (folder / "toy.tmp").open("wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())
    os.link(folder / "toy.tmp", folder / "toy.new")
    os.replace(folder / "toy.new", folder / "toy")
    sync_folder(folder)
    (folder / "toy.tmp").unlink()


def replace_by_link_and_rename(folder: Path, content: bytes = CONTENT) -> None:
    """Do the same, and rename the first name onto the second, which leaves both."""
    with (folder / "toy.tmp").open("wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())
    os.link(folder / "toy.tmp", folder / "toy.new")
    os.replace(folder / "toy.new", folder / "toy")
    os.replace(folder / "toy.tmp", folder / "toy")
    sync_folder(folder)
    (folder / "toy.tmp").unlink()


def insert_row(folder: Path) -> None:
    """Commit one row to an SQLite database."""
    connection = sqlite3.connect(folder / "toy.db", isolation_level=None)
    connection.execute("CREATE TABLE IF NOT EXISTS toy(content)")
    connection.execute("INSERT INTO toy VALUES (1)")
    connection.close()


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(at)
    os.close(at)


Toy = Callable[[Path], None]


def run_toy(toy: Toy, folder: Path, fault: Fault, answer: Path) -> None:
    """Run a toy on a faulty disk, and once more on a well one; answer what happened."""
    shim = Shim(folder)
    shim.arm(fault)
    error_number = 0
    try:
        toy(folder)
    except OSError as error:
        error_number = error.errno or -1
    steps = shim.disarm()
    toy(folder)
    answer.write_text(json.dumps([steps, error_number]))


def trace_toy(save: Callable[[Path, bytes], None], folder: Path, trace: Path) -> None:
    """Save twice, and note each in the trace when it is done."""
    shim = Shim(folder)
    shim.trace(trace)
    for content in (CONTENT, CONTENT[::-1]):
        save(folder, content)
        shim.note(content.decode())


def time_toy(folder: Path, delay_ms: float, shift_s: int, answer: Path) -> None:
    """Answer how long a slow fsync takes, and what the time is said to be."""
    shim = Shim(folder)
    shim.delay_syncs(delay_ms)
    begin = time.monotonic()
    sync_folder(folder)
    elapsed_ms = (time.monotonic() - begin) * 1000
    shim.shift_clock(shift_s)
    answer.write_text(json.dumps([elapsed_ms, time.time()]))
