"""Links, pipes, sockets, devices and folders, laid where a store's own files belong."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

TOKEN = "0123456789abcdef"
DATABASE = "astraguard.db"


def lay_pipe(path: Path, outside: Path) -> None:
    """Lay a named pipe, which an open() waits at."""
    del outside
    os.mkfifo(path)


def lay_socket(path: Path, outside: Path) -> None:
    """Lay a socket, which can't be opened."""
    del outside
    with closing(socket.socket(socket.AF_UNIX)) as bound:
        # The path itself may be too long for an address.
        with_name = Path(f"/proc/self/fd/{os.open(path.parent, os.O_PATH)}")
        try:
            bound.bind(str(with_name / path.name))
        finally:
            os.close(int(with_name.name))


def lay_device(path: Path, outside: Path) -> None:
    """Lay /dev/zero, which never ends; raises PermissionError where that isn't allowed."""
    del outside
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def lay_folder(path: Path, outside: Path) -> None:
    """Lay a folder with a file in it."""
    del outside
    path.mkdir()
    (path / "inside").write_text("somebody's")


def lay_link_to_file(path: Path, outside: Path) -> None:
    """Lay a link to somebody's file."""
    path.symlink_to(outside / "file")


def lay_link_to_folder(path: Path, outside: Path) -> None:
    """Lay a link to somebody's folder, whose files have the names of a store's."""
    path.symlink_to(outside)


def lay_dangling_link(path: Path, outside: Path) -> None:
    """Lay a link to what isn't there, but may be made."""
    path.symlink_to(outside / "not there")


def lay_loop(path: Path, outside: Path) -> None:
    """Lay a link to itself."""
    del outside
    path.symlink_to(path.name)


Layer = Callable[[Path, Path], None]
LINKS: dict[str, Layer] = {
    "link to a file": lay_link_to_file,
    "link to a folder": lay_link_to_folder,
    "dangling link": lay_dangling_link,
    "link to itself": lay_loop,
}
SPECIAL: dict[str, Layer] = {
    "pipe": lay_pipe,
    "socket": lay_socket,
    "device": lay_device,
    "folder": lay_folder,
}
PLACES = (
    DATABASE,
    f"{DATABASE}-wal",
    f"{DATABASE}-shm",
    f"{DATABASE}-journal",
    f"{DATABASE}.lock",
    f"{DATABASE}.id",
    ".staging",
    f".staging/new~{TOKEN}.json",
    f".staging/new~{TOKEN}.kept.csv",
    f".staging/new~{TOKEN}.journal",
    "kept",
    "kept/latency_summary.json",
    "kept/latency_raw.csv",
    "again/latency_raw.csv",
    "new",
    "foreign",
)


def somebodys_folder(place: Path) -> Path:
    """Make a folder whose files have the names of a store's, and are nobody's business."""
    place.mkdir()
    names = ("file", "latency_summary.json", "latency_raw.csv", f"new~{TOKEN}.json", DATABASE)
    for name in names:
        (place / name).write_text(f"somebody's {name}")
    return place


@contextmanager
def laid(lay: Layer, path: Path, outside: Path) -> Iterator[None]:
    """Lay something at *path* for the length of a block.

    What was there comes back after it, unless the store has put something of its own there.
    """
    aside = outside.parent / f"{path.name} aside"
    path.parent.mkdir(exist_ok=True)
    was_there = os.path.lexists(path)
    if was_there:
        path.rename(aside)
    try:
        lay(path, outside)
        is_laid = path.lstat()
        yield
        if _is_still(path, is_laid):
            _take_away(path)
    finally:
        if was_there:
            _put_back(aside, path)


def _put_back(aside: Path, path: Path) -> None:
    """Put back what was there, unless the store has something of its own in its place by now."""
    if not os.path.lexists(path):
        path.parent.mkdir(exist_ok=True)
        aside.rename(path)
        return
    if stat.S_ISDIR(aside.lstat().st_mode) and path.is_dir():
        for file in aside.iterdir():
            if not os.path.lexists(path / file.name):
                file.rename(path / file.name)
    _remove(aside)


def _is_still(path: Path, laid: os.stat_result) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return (found.st_ino, stat.S_IFMT(found.st_mode)) == (laid.st_ino, stat.S_IFMT(laid.st_mode))


def _take_away(path: Path) -> None:
    """Remove what was laid, but not what the store has put into a folder."""
    if stat.S_ISDIR(path.lstat().st_mode):
        (path / "inside").unlink(missing_ok=True)
        with suppress(OSError):
            path.rmdir()
    else:
        path.unlink()


def _remove(path: Path) -> None:
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()
