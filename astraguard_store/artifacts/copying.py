"""A run's file read from its folder, held against what was noted of it on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from astraguard_store.artifacts.verification import why_changed
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.formats.layout import FILE_KINDS
from astraguard_store.model import Artifact
from astraguard_store.system.files import open_for_reading

__all__ = ["checked_chunks", "modified_ns", "name_of"]

_CHUNK_BYTES = 2**20


def name_of(run_id: str, noted: Artifact) -> str:
    """Return the name of a run's file in its folder.

    Raises:
        ArtifactReadError: It is none that a run's file has: another program's row
            must not lead anywhere else.
    """
    folder, _, name = noted.path.rpartition("/")
    if folder != run_id or FILE_KINDS.get(name) != noted.kind:
        raise ArtifactReadError(
            f"run {run_id!r} notes {noted.path!r} as its {noted.kind}, which is no such file"
        )
    return name


def modified_ns(root: Path, noted: Artifact) -> int:
    """Return the time of a file, nanoseconds since 1970; raises as `checked_chunks`."""
    file = root / noted.path
    try:
        with open_for_reading(file.parent, file.name) as descriptor:
            return os.fstat(descriptor).st_mtime_ns
    except FileNotFoundError:
        raise ArtifactReadError(f"{file} is missing") from None


def checked_chunks(root: Path, noted: Artifact) -> Iterator[bytes]:
    """Yield the content of a file, 1 MB at a time; only at the end is known if it is right.

    Raises:
        ArtifactReadError: It is missing, can't be read, or isn't what was noted;
            the message names it.
    """
    file = root / noted.path
    digest = hashlib.sha256()
    size = 0
    try:
        with open_for_reading(file.parent, file.name) as descriptor:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
    except FileNotFoundError:
        raise ArtifactReadError(f"{file} is missing") from None
    except OSError as error:
        raise ArtifactReadError(f"{file} can't be read: {error.strerror}") from error
    # Files of adopted runs may never have been hashed.
    found = digest.hexdigest() if noted.sha256 else None
    changed = why_changed(size, found, noted)
    if changed:
        raise ArtifactReadError(
            f"{file} was changed: {changed}; `astraguard-store check` tells what can be mended"
        )
