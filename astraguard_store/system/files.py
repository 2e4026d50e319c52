"""Opening, reading, locking and syncing files of a results folder; symbolic links aren't followed.

A file is told from another by (device, inode): on another disk an inode number
comes again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.system.forks import in_forked_child

# A summary of 10,000 satellites has 6 MB.
MAX_SUMMARY_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**20
# 2255-06-05: some file systems hold times that no calendar has.
_LAST_NS = 2**53 * 1000
# The kernel's `struct flock` of 64 bits: kind, whence, start, length, process.
_RANGE_LOCK = Struct("hhqqi4x")
_NEVER_A_LINK = os.O_NOFOLLOW | os.O_CLOEXEC
_open_or_close = threading.RLock()


def _new_lock() -> None:
    global _open_or_close
    _open_or_close = threading.RLock()


in_forked_child(_new_lock)


class Digest(NamedTuple):
    """Size and hash of a file's content.

    Attributes:
        bytes: Size.
        sha256: Of the content, hex.
    """

    bytes: int
    sha256: str


@contextmanager
def open_folder(path: Path | str) -> Iterator[int]:
    """Give a descriptor of the folder *path*, which must not be a symbolic link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _NEVER_A_LINK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make the folder *path* and those above it, so that they survive a power cut.

    Raises:
        OSError: One of them can't be made.
    """
    try:
        path.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def create_file(name: str, folder: int) -> int:
    """Return a descriptor of the new file *name* in an open folder, to be written.

    Raises:
        OSError: It can't be made, or is there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NEVER_A_LINK
    return os.open(name, flags, 0o666, dir_fd=folder)


@contextmanager
def open_anybodys(path: Path) -> Iterator[int]:
    """Give a descriptor of somebody's regular file, links followed.

    Raises:
        OSError: It can't be opened.
        ArtifactReadError: It is no regular file.
    """
    # Without O_NONBLOCK a named pipe would hold the reader for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArtifactReadError(f"{path} is no regular file, so it can't be attached")
        yield descriptor
    finally:
        os.close(descriptor)


def make_file(path: Path) -> None:
    """Make the empty file *path*, with the rights that the umask leaves.

    Raises:
        OSError: It can't be made, or is there.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NEVER_A_LINK, 0o666))


def size_if_there(path: Path | str) -> int:
    """Return the size of a file, 0 if it isn't there or can't be looked at."""
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return 0


@contextmanager
def open_for_reading(folder: Path | str, name: str) -> Iterator[int]:
    """Give a descriptor of the regular file *name* in *folder*; neither may be a link.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ArtifactReadError: It is there but can't be read; the message says why.
    """
    path = f"{folder}/{name}"
    if "\0" in path:
        raise ArtifactReadError(f"{path!r} is no name of a file")
    try:
        with open_folder(folder) as parent:
            # Without O_NONBLOCK a named pipe would hold the reader for ever.
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NEVER_A_LINK, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ArtifactReadError(f"{path} can't be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArtifactReadError(f"{path} is not a file")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_below(root: Path, *names: str) -> Iterator[int]:
    """Give a descriptor of the regular file ``root/names[0]/names[1]/…``.

    Only *root* may be reached through a link: none that lies below it is followed, wherever
    it leads.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ArtifactReadError: It is there but can't be read; the message says why.
    """
    path = "/".join((str(root), *names))
    with ExitStack() as opened:
        try:
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, folder)
            for name in names[:-1]:
                flags = os.O_RDONLY | os.O_DIRECTORY | _NEVER_A_LINK
                folder = os.open(name, flags, dir_fd=folder)
                opened.callback(os.close, folder)
            flags = os.O_RDONLY | os.O_NONBLOCK | _NEVER_A_LINK
            descriptor = os.open(names[-1], flags, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ArtifactReadError(f"{path} can't be read: {error.strerror}") from error
        opened.callback(os.close, descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArtifactReadError(f"{path} is not a file")
        yield descriptor


def read_file(folder: Path | str, name: str, limit: int = MAX_SUMMARY_BYTES) -> tuple[bytes, int]:
    """Return the content of the file *name* in *folder*, and its time in ns since 1970.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ArtifactReadError: It can't be read, or has more than *limit* bytes.
    """
    try:
        # As `open_for_reading`, in one function: a small file is read in half the time.
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _NEVER_A_LINK)
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NEVER_A_LINK, dir_fd=parent)
        finally:
            os.close(parent)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ArtifactReadError(f"{folder}/{name} is not a file")
            if found.st_size > limit:
                raise ArtifactReadError(
                    f"{folder}/{name} has {found.st_size} bytes, {limit} are read at most"
                )
            # One byte more than there are tells that it has grown.
            content = os.read(descriptor, found.st_size + 1)
            if len(content) != found.st_size:
                content += _rest_of(descriptor, limit - len(content))
        finally:
            os.close(descriptor)
    except ValueError as error:
        # It has a NUL in it.
        raise ArtifactReadError(f"{name!r} is no name of a file") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ArtifactReadError(f"{folder}/{name} can't be read: {error.strerror}") from error
    return content[:limit], found.st_mtime_ns


def _rest_of(descriptor: int, limit: int) -> bytes:
    """Return what is left to read of an open file, up to some more than *limit* bytes."""
    rest = b""
    while len(rest) <= limit and (more := os.read(descriptor, _CHUNK_BYTES)):
        rest += more
    return rest


def modified_ns(found: os.stat_result) -> int:
    """Return a file's time, nanoseconds since 1970; the nearest one that a clock may have had."""
    return min(max(found.st_mtime_ns, 0), _LAST_NS)


def chunks_of(descriptor: int) -> Iterator[bytes]:
    """Yield what is left to read of an open file, 1 MB at a time."""
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        yield chunk


def digest_of(descriptor: int) -> Digest:
    """Return size and hash of what is left to read of an open file."""
    # Of a command that hashes nothing OpenSSL would be a fiftieth.
    from hashlib import sha256

    digest = sha256()
    size = 0
    for chunk in chunks_of(descriptor):
        digest.update(chunk)
        size += len(chunk)
    return Digest(size, digest.hexdigest())


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of *content*, however little the system takes at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def most_open_files() -> int:
    """Return how many files this process may have open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def open_descriptors() -> list[int]:
    """Return the descriptors that this process has open; none where there is no /proc."""
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return []


def descriptor_of(opened: os.stat_result, before: Collection[int] = ()) -> int | None:
    """Return a descriptor that this process has of a file; None if it has none.

    One that may write, and that isn't among those from *before*, as far as there is one.
    """
    found = []
    for descriptor in descriptors_of(opened):
        with suppress(OSError):
            may_write = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
            found.append((may_write, descriptor not in before, descriptor))
    return max(found)[-1] if found else None


def descriptors_of(opened: os.stat_result) -> list[int]:
    """Return the descriptors that this process has of a file."""
    found = []
    for descriptor in open_descriptors():
        with suppress(OSError):
            if is_same_file(os.fstat(descriptor), opened):
                found.append(descriptor)
    return found


def never_close(opened: object) -> None:
    """Keep Python from closing what is open, which it does at its own end too."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(opened))


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Return *size* bytes of an open file, from *offset* on; fewer where it ends."""
    return os.pread(descriptor, size, offset)


def databases_stay() -> threading.RLock:
    """Wait, in a ``with``, for others that open a database or close a descriptor; keep them out.

    To close a descriptor lets go of all locks that the process has on the file (`fcntl(2)`),
    so whoever closes one looks first whether the file is open here elsewhere. Nobody waits for
    anything else inside.
    """
    return _open_or_close


def why_unreadable(path: Path | str) -> OSError | None:
    """Return what the system says of a file that can't be read to its end; None if it can.

    As `head_of`, it loses no lock that this process has on it.
    """
    with databases_stay():
        try:
            own = descriptor_of(os.stat(path))
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if own is None else own
            try:
                offset = 0
                while chunk := os.pread(descriptor, _CHUNK_BYTES, offset):
                    offset += len(chunk)
            finally:
                if own is None:
                    os.close(descriptor)
        except OSError as error:
            return error
    return None


def head_of(path: Path | str, size: int) -> bytes:
    """Return the first *size* bytes of a file; no lock that this process has on it is lost."""
    with databases_stay():
        own = descriptor_of(os.stat(path))
        if own is not None:
            return os.pread(own, size, 0)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, size, 0)
        finally:
            os.close(descriptor)


def begin_writeback(descriptor: int, offset: int, size: int) -> None:
    """Let the kernel begin to write to disk; `sync` then takes 1 ms instead of 5 for 7 MB."""
    # It is a hint, which some file systems refuse.
    with suppress(OSError):
        os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)


def sync(descriptor: int) -> None:
    """Make an open file's content, or an open folder's names, survive a power cut."""
    os.fsync(descriptor)


def sync_folder(path: Path | str) -> None:
    """Make the names in the folder *path* survive a power cut."""
    with open_folder(path) as descriptor:
        os.fsync(descriptor)


def sync_file(path: Path) -> int:
    """Make the content of the file *path* survive a power cut; return its size in bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def create_locked(path: Path | str) -> int:
    """Create the file *path* and return a descriptor that holds its lock.

    Raises:
        OSError: It can't be created.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NEVER_A_LINK, 0o666)
        try:
            # Somebody who recovers may have it already, and is about to remove it.
            lock(descriptor)
            if still_names(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Removed: it must not be done here, since by now the name may be another file's.
        os.close(descriptor)


def claim(path: Path, *, visibly: bool = False) -> int | None:
    """Return a descriptor that holds the lock of *path*; None if its maker is alive or it's gone.

    Args:
        path: The file.
        visibly: Whether others see that it isn't the maker who has the lock; see `is_claimed`.

    Raises:
        OSError: It can't be opened or locked, or is no regular file.
    """
    try:
        # Before it is opened: what opening a device does can't be known.
        if not stat.S_ISREG(os.stat(path, follow_symlinks=False).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _NEVER_A_LINK)
    except FileNotFoundError:
        return None
    is_mine = False
    try:
        if visibly:
            # Before the lock, so that nobody sees this lock without the mark.
            _ask_of_mark(descriptor, fcntl.F_OFD_SETLK, fcntl.F_RDLCK)
        # Between open and lock it may have been published or removed by another.
        is_mine = try_lock(descriptor) and still_names(path, descriptor)
    finally:
        if not is_mine:
            os.close(descriptor)
    return descriptor if is_mine else None


def is_claimed(path: Path) -> bool:
    """Return whether somebody has claimed *path*, or just tries to; False if it's gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _NEVER_A_LINK)
    except OSError:
        return False
    try:
        return _ask_of_mark(descriptor, fcntl.F_OFD_GETLK, fcntl.F_WRLCK) != fcntl.F_UNLCK
    finally:
        os.close(descriptor)


def _ask_of_mark(descriptor: int, question: int, kind: int) -> int:
    """Ask for a lock of the second kind, which belongs to the open file as that of `lock` does.

    Returns:
        The kind that is in the way, if that was the question.
    """
    asked = _RANGE_LOCK.pack(kind, os.SEEK_SET, 0, 0, 0)
    found: int = _RANGE_LOCK.unpack(fcntl.fcntl(descriptor, question, asked))[0]
    return found


def open_lock_file(path: Path) -> int:
    """Return a descriptor of the file *path*, made if it is missing, to be locked.

    Raises:
        OSError: It can't be opened or made.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | _NEVER_A_LINK, 0o666)


def lock(descriptor: int) -> None:
    """Lock an open file for this descriptor alone; waits for its turn."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def try_lock(descriptor: int) -> bool:
    """Lock an open file if nobody else has it; return whether it is locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def range_shared(opened: os.stat_result, start: int, length: int) -> Iterator[None]:
    """Hold a shared lock on bytes of a file that this process has open.

    It is one of an open file (`fcntl(2)`, F_OFD_SETLK), so that this process, too, gets no
    exclusive one meanwhile. Afterwards all its other locks on the file are gone.

    Raises:
        OSError: Somebody has an exclusive one, or it isn't open.
    """
    own = descriptor_of(opened)
    if own is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    # By its name another file would be opened.
    descriptor = os.open(f"/proc/self/fd/{own}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        wanted = _RANGE_LOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, start, length, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether somebody holds the lock of *path*; also if it may not be asked.

    It is asked for as one that many may hold, so that they don't take each other for
    the one who holds it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _NEVER_A_LINK)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def unlock(descriptor: int) -> None:
    """Give the lock back and close; a forked child that has a copy doesn't keep it."""
    try:
        give_back(descriptor)
    finally:
        os.close(descriptor)


def unlock_visibly(descriptor: int) -> None:
    """Give back and close as `unlock` does, of what was claimed visibly."""
    try:
        give_back(descriptor)
        # After the lock; a forked child may have a copy of the descriptor.
        _ask_of_mark(descriptor, fcntl.F_OFD_SETLK, fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def give_back(descriptor: int) -> None:
    """Give the lock back that this process has on an open file, its forked children's too."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def still_names(path: Path | str, descriptor: int) -> bool:
    """Return whether *path* is the name of the open file, and not of another or of none."""
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return is_same_file(named, os.fstat(descriptor))


def path_of(descriptor: int) -> Path:
    """Return the name that an open file has now; its folder may have been moved."""
    return Path(os.readlink(f"/proc/self/fd/{descriptor}"))


def is_same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether both are of one file: the same inode of the same device."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
