"""Where raw measurements of many runs lie together: a folder, or object storage by its URL.

A file is whole or not there, in both: a folder gets it by a rename, and object storage by
an upload that appears when it is complete. A name that is there is of the same save, so it
isn't written again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from astraguard_store.artifacts.staging import appearing_whole, errors_name
from astraguard_store.exceptions import (
    ArtifactReadError,
    ArtifactWriteError,
    MissingExtraError,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.options import names_server
from astraguard_store.system.files import sync_file

# Of a name in a place: see `dataset.dataset_name`.
_PARTS = 3
_SUFFIX = ".parquet"


class _RawFile(NamedTuple):
    """A file of one save of a run.

    Attributes:
        location: Its path, or its URL.
        bytes: Its size.
        sha256: Its hash, hex.
    """

    location: str
    bytes: int
    sha256: str


class SmallFile(NamedTuple):
    """A file that tells of others in its place.

    Attributes:
        location: Its path, or its URL.
        content: All of it.
        modified_at: When it was written, UTC, by the clock of its place.
    """

    location: str
    content: bytes
    modified_at: datetime


class RawPlace(Protocol):
    """A folder, or a part of a bucket.

    Attributes:
        base: Its path or URL, with which all locations in it begin.
    """

    base: str

    def write(self, name: str, make: Callable[[Path], object]) -> _RawFile:
        """Make a file by *make*, which is given a path, unless it is there.

        Raises:
            ArtifactWriteError: It can't be written; nothing of it is there.
            StoreError: What *make* raises.
        """

    def remove(self, location: str) -> None:
        """Remove a file that is of a save of before, if it can be."""

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name; False also if it can't be told."""

    def put(self, name: str, content: bytes) -> str:
        """Write a small file, and return its location.

        Raises:
            ArtifactWriteError: It can't be written; nothing of it is there.
        """

    def small_files(self, folder: str) -> list[SmallFile]:
        """Return the small files of a folder; none if there is no such folder.

        Raises:
            ArtifactReadError: They can't be read.
        """


def raw_place(place: str | os.PathLike[str]) -> RawPlace:
    """Return the place that a path or URL names; a folder is made where it is missing.

    Raises:
        StoreNotFoundError: The URL can't be one of object storage.
        MissingExtraError: It needs the package obstore.
    """
    if names_server(place):
        return _Bucket(os.fspath(place))
    return _Folder(Path(place))


def read_raw(location: str) -> bytes:
    """Return the content of a file.

    Raises:
        ArtifactReadError: It can't be read.
        MissingExtraError: It needs the package obstore.
    """
    if not names_server(location):
        try:
            return Path(location).read_bytes()
        except OSError as error:
            raise ArtifactReadError(f"{location} can't be read: {error.strerror}") from error
    base, name = _split(location)
    bucket = _Bucket(base)
    with _reasons(ArtifactReadError, f"{location} can't be read"):
        return bytes(bucket.obstore.get(bucket.store, name).bytes())


def remove_raw(location: str, run_id: str) -> str | None:
    """Remove the file of a run that is deleted; return why it stays, None if it is gone.

    What a catalogue names and no push writes isn't touched: others write catalogues, too.
    """
    base, name = _split(location)
    rig, date, file = name.split("/") if name.count("/") == _PARTS - 1 else ("", "", "")
    is_ours = rig.startswith("rig=") and date.startswith("date=") and file.endswith(_SUFFIX)
    if not is_ours or file.removesuffix(_SUFFIX).rpartition(".")[0] != run_id:
        return "no push gives a file such a name"
    try:
        if names_server(location):
            bucket = _Bucket(base)
            bucket.obstore.delete(bucket.store, name)
        elif not os.path.isdir(base):
            return f"there is no folder {base} on this machine"
        else:
            Path(location).unlink(missing_ok=True)
    except (OSError, MissingExtraError, StoreNotFoundError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - obstore's have no common base
        return _reason(error)
    return None


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))
        self.base = f"{self._root}/"

    def write(self, name: str, make: Callable[[Path], object]) -> _RawFile:
        path = self._root / name
        with errors_name(path):
            if not path.exists():
                with appearing_whole(path) as beside:
                    make(beside)
            return _RawFile(str(path), *_size_and_hash(path))

    def remove(self, location: str) -> None:
        if location.startswith(self.base):
            with suppress(OSError):
                os.unlink(location)

    def has(self, name: str) -> bool:
        return (self._root / name).is_file()

    def put(self, name: str, content: bytes) -> str:
        path = self._root / name
        with appearing_whole(path) as beside:
            beside.write_bytes(content)
            sync_file(beside)
        return str(path)

    def small_files(self, folder: str) -> list[SmallFile]:
        found = []
        path = self._root / folder
        try:
            for path in sorted((self._root / folder).glob("*")):
                with suppress(FileNotFoundError):  # who wrote it is done
                    modified_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                    found.append(SmallFile(str(path), path.read_bytes(), modified_at))
        except OSError as error:
            raise ArtifactReadError(f"{path} can't be read: {error.strerror}") from error
        return found


class _Bucket:
    def __init__(self, url: str) -> None:
        _check_url(url)
        try:
            import obstore
            import obstore.store
        except ImportError:
            raise MissingExtraError("object storage", "objects") from None
        self.obstore: Any = obstore
        self.base = f"{url.rstrip('/')}/"
        with _reasons(StoreNotFoundError, f"{url} can't be used"):
            self.store = obstore.store.from_url(url)

    def write(self, name: str, make: Callable[[Path], object]) -> _RawFile:
        location = f"{self.base}{name}"
        with _reasons(ArtifactWriteError, f"{location} can't be asked"):
            known = self._known(name)
        if known:
            return _RawFile(location, *known)
        with tempfile.TemporaryDirectory(prefix="astraguard-") as folder:
            path = Path(folder, "raw.parquet")
            make(path)
            found = _size_and_hash(path)
            with _reasons(ArtifactWriteError, f"{location} can't be written"):
                self.obstore.put(self.store, name, path)
        return _RawFile(location, *found)

    def remove(self, location: str) -> None:
        if location.startswith(self.base):
            with suppress(Exception):
                self.obstore.delete(self.store, location.removeprefix(self.base))

    def has(self, name: str) -> bool:
        with suppress(Exception):
            self.obstore.head(self.store, name)
            return True
        return False

    def put(self, name: str, content: bytes) -> str:
        location = f"{self.base}{name}"
        with _reasons(ArtifactWriteError, f"{location} can't be written"):
            self.obstore.put(self.store, name, content)
        return location

    def small_files(self, folder: str) -> list[SmallFile]:
        found = []
        with _reasons(ArtifactReadError, f"{self.base}{folder} can't be read"):
            for file in self.obstore.list(self.store, prefix=folder).collect():
                with suppress(FileNotFoundError):  # who wrote it is done
                    content = bytes(self.obstore.get(self.store, file["path"]).bytes())
                    location = f"{self.base}{file['path']}"
                    found.append(SmallFile(location, content, file["last_modified"]))
        return found

    def _known(self, name: str) -> tuple[int, str] | None:
        try:
            self.obstore.head(self.store, name)
        except FileNotFoundError:
            return None
        digest, size = hashlib.sha256(), 0
        for chunk in self.obstore.get(self.store, name).stream():
            digest.update(chunk)
            size += len(chunk)
        return size, digest.hexdigest()


def _check_url(url: str) -> None:
    """Refuse a URL that holds secrets, or one of a database."""
    parts = urlsplit(url)
    if parts.username or parts.password or "@" in parts.netloc or parts.query:
        raise StoreNotFoundError(
            f"a URL of {parts.scheme}: object storage gets its keys from the environment, such "
            "as AWS_ACCESS_KEY_ID, and not in the URL"
        )
    if parts.scheme.startswith("postgres") or "://" not in url:
        raise StoreNotFoundError(
            "raw measurements lie in a folder or in object storage, such as s3://bucket/lake, "
            "and not in a database"
        )


def _split(location: str) -> tuple[str, str]:
    base, *name = location.rsplit("/", _PARTS)
    return base, "/".join(name)


def _size_and_hash(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _reasons(failure: type[StoreError], what: str) -> Iterator[None]:
    """Raise whatever obstore raises inside as *failure*: its errors have no common base."""
    try:
        yield
    except Exception as error:
        raise failure(f"{what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    # obstore adds pages of what it was about.
    return str(error).partition("\n")[0]
