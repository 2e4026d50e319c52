"""Any files that belong to a run: copied below `attachments` in its folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from astraguard_store.artifacts.staging import errors_name, new_token
from astraguard_store.checks import check_attachment_name
from astraguard_store.exceptions import ArtifactReadError, ArtifactWriteError
from astraguard_store.formats.layout import ATTACHMENTS_NAME
from astraguard_store.model import Attachment
from astraguard_store.system.files import (
    chunks_of,
    create_file,
    digest_of,
    make_folder,
    open_anybodys,
    open_below,
    open_folder,
    sync,
    write_all,
)


def attach(root: Path, run_id: str, source: Path, name: str, *, durable: bool) -> Attachment:
    """Copy the file *source* to the attachments of a run; one of that name is replaced.

    Raises:
        ArtifactReadError: The source can't be read.
        ArtifactWriteError: The copy can't be written.
    """
    try:
        with open_anybodys(source) as descriptor:
            return copy_attachment(root, run_id, name, chunks_of(descriptor), durable=durable)
    except ArtifactWriteError:
        # An OSError too, and not the source's.
        raise
    except OSError as error:
        raise ArtifactReadError(f"{source} can't be attached: {error.strerror}") from error


def copy_attachment(
    root: Path, run_id: str, name: str, chunks: Iterable[bytes], *, durable: bool
) -> Attachment:
    """Write an attachment; it appears when it is whole, and durable if it must be.

    Raises:
        ArtifactWriteError: It can't be written.
    """
    folder = root / run_id / ATTACHMENTS_NAME
    with errors_name(folder / name, "; nothing was attached"):
        make_folder(folder)
        # Through its descriptor: it must not be a link, and none may take its place.
        with open_folder(folder) as parent:
            found = _written(parent, name, chunks, durable=durable)
            if durable:
                sync(parent)
    return found


def _written(folder: int, name: str, chunks: Iterable[bytes], *, durable: bool) -> Attachment:
    """Write the file *name* in an open folder, under another name until it is whole."""
    beside = f".{name}~{new_token()}"
    digest = hashlib.sha256()
    size = 0
    descriptor = create_file(beside, folder)
    try:
        for chunk in chunks:
            digest.update(chunk)
            write_all(descriptor, chunk)
            size += len(chunk)
        if durable:
            sync(descriptor)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside, dir_fd=folder)
        raise
    finally:
        os.close(descriptor)
    return Attachment(name, size, digest.hexdigest())


def copy_attachments(
    root: Path, other: Path, run_id: str, attachments: Iterable[Attachment], *, durable: bool
) -> None:
    """Copy what is attached to a run of the results folder *other*.

    A run that doesn't come leaves copies, and the next one that does replaces them.

    Raises:
        InvalidRunError: A name would lead elsewhere.
        ArtifactReadError: One is missing, or isn't what is noted.
        ArtifactWriteError: One can't be written.
    """
    for noted in attachments:
        path = other / attachment_path(run_id, noted.name)
        try:
            with open_below(other, run_id, ATTACHMENTS_NAME, noted.name) as descriptor:
                chunks = chunks_of(descriptor)
                copied = copy_attachment(root, run_id, noted.name, chunks, durable=durable)
        except FileNotFoundError as error:
            raise ArtifactReadError(f"its attachment {path} is missing") from error
        if copied != noted:
            raise ArtifactReadError(f"its attachment {path} was changed")


def attachment_path(run_id: str, name: str) -> str:
    """Return where an attachment lies, relative to the results folder.

    Raises:
        InvalidRunError: Its name would lead elsewhere: another program has noted it.
    """
    check_attachment_name(name)
    return f"{run_id}/{ATTACHMENTS_NAME}/{name}"


def attachment_state(root: Path, run_id: str, name: str) -> Attachment:
    """Return what an attachment is now.

    Raises:
        InvalidRunError: See `attachment_path`.
        FileNotFoundError: It isn't there.
        ArtifactReadError: It can't be read.
    """
    with open_below(root, run_id, ATTACHMENTS_NAME, name) as descriptor:
        return _state(descriptor, root / attachment_path(run_id, name))


def attachment_chunks(root: Path, run_id: str, noted: Attachment) -> Iterator[bytes]:
    """Yield the content of an attachment, 1 MB at a time.

    The first chunk is empty: whoever has got it knows that the file was checked.

    Raises:
        ArtifactReadError: It isn't there, can't be read, or isn't what was attached.
        InvalidRunError: Nothing can be attached by its name.
    """
    name = check_attachment_name(noted.name)
    path = root / attachment_path(run_id, name)
    try:
        with open_below(root, run_id, ATTACHMENTS_NAME, name) as descriptor:
            if _state(descriptor, path) != noted:
                raise ArtifactReadError(f"{path} was changed since it was attached")
            os.lseek(descriptor, 0, os.SEEK_SET)
            yield b""
            yield from chunks_of(descriptor)
    except FileNotFoundError as error:
        raise ArtifactReadError(f"{path} is missing; restore it from a backup") from error


def _state(descriptor: int, path: Path) -> Attachment:
    try:
        found = digest_of(descriptor)
    except OSError as error:
        raise ArtifactReadError(f"{path} can't be read: {error.strerror}") from error
    return Attachment(path.name, found.bytes, found.sha256)


def keep_attachments(root: Path, run_id: str, kept: Collection[str] = ()) -> int:
    """Remove all attachments of a run but those *kept*, and the folder if none is.

    Returns:
        How many bytes the removed ones had.

    Raises:
        OSError: One can't be removed.
    """
    folder = root / run_id / ATTACHMENTS_NAME
    removed = 0
    try:
        with open_folder(folder) as descriptor:
            for name in os.listdir(descriptor):
                if name not in kept:
                    with suppress(FileNotFoundError, IsADirectoryError):
                        size = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size
                        os.unlink(name, dir_fd=descriptor)
                        removed += size
            sync(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return removed
    if not kept:
        # Not empty: somebody's own folder is in it.
        with suppress(OSError):
            folder.rmdir()
    return removed
