"""What is peculiar about the file system that a folder lies on.

A write-ahead log needs one of this machine's own: its index is memory that
processes share, and its locks have to hold between them; over a network neither
is so. And some don't tell upper from lower case, so that two runs could come to
share one folder.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from astraguard_store.system.files import is_same_file

# A variable, so that a test can name another table of mounts.
MOUNTS = Path("/proc/self/mountinfo")

_NETWORK: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb2",
        "smb3",
        "smbfs",
        "virtiofs",
    }
)
_NETWORK_FUSE: Final = frozenset(
    {"ceph", "curlftpfs", "davfs", "gcsfuse", "glusterfs", "rclone", "s3fs", "smbnetfs", "sshfs"}
)


def network_file_system(folder: Path) -> str | None:
    """Return the type of the file system of *folder* if it is a network's, else None.

    None, too, where the kernel doesn't say.
    """
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = _file_system(os.path.realpath(folder), mounts)
    is_network = kind in _NETWORK or kind.removeprefix("fuse.") in _NETWORK_FUSE
    return kind if is_network else None


def case_twin(root: Path, run_id: str, probe: str) -> str | None:
    """Return the other run whose folder *run_id* would get, None if it gets its own.

    Args:
        root: The results folder.
        run_id: The run.
        probe: A name in *root* in lower case. Whether it is found in capitals, too,
            tells in 2 µs whether the file system is blind to case. Where there is no
            such file, the answer is None.

    Raises:
        OSError: The folder can't be listed.
    """
    try:
        named, shouted = (os.stat(f"{root}/{name}") for name in (probe, probe.upper()))
    except FileNotFoundError:
        return None
    if not is_same_file(named, shouted):
        return None
    folded = run_id.casefold()
    return next((n for n in os.listdir(root) if n != run_id and n.casefold() == folded), None)


def _file_system(path: str, mounts: str) -> str:
    """Return the type of the file system that *path* is on, by the text of *mounts*."""
    longest, kind = "", ""
    for line in mounts.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _unescaped(fields[4])
        covers = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two on one point the later lies on top.
        if covers and len(point) >= len(longest):
            longest, kind = point, right.partition(" ")[0]
    return kind


def _unescaped(field: str) -> str:
    if "\\" not in field:
        return field
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
