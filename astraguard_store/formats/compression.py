"""gzip and zstd, chunk by chunk; what is unpacked is bounded, so that a bomb fills no memory.

A gzip file has neither a time nor a name in its header, so the same content
gives the same bytes for as long as the compressor is the same: another version
of zlib or zstd may make others.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from astraguard_store.exceptions import ArtifactReadError, ArtifactWriteError
from astraguard_store.options import Compression

if TYPE_CHECKING:
    from types import ModuleType

    from _typeshed import WriteableBuffer

_INSTALL = "pip install 'astraguard-store[zstd]'"
# zlib's own number for a gzip header around the stream.
_GZIP_WINDOW = 31
# Of a CSV of 7.2 MB gzip makes 1.8 MB in 0.09 s at level 3, 1.6 MB in 0.22 s at 6;
# zstd 1.7 MB in 0.04 s at its level 3.
_GZIP_LEVEL = 3
_ZSTD_LEVEL = 3
_READ_BYTES = 65_536
_CHUNK_BYTES = 2**20
# zstd's unpacker can't be told how much to give; from 256 bytes it makes 8 MB at most.
_ZSTD_READ_BYTES = 256
# As much as every unpacker should take, by RFC 8878; level 19 needs no more.
_ZSTD_WINDOW_BYTES = 8 * 2**20


def check_compression(compression: str | None) -> None:
    """Refuse what can't be written here.

    Raises:
        ArtifactWriteError: It needs a package that isn't installed.
    """
    if compression == "zstd":
        try:
            _zstandard()
        except ImportError as error:
            raise ArtifactWriteError(
                f"compression='zstd' needs the package zstandard: {_INSTALL}"
            ) from error


def compressed(chunks: Iterable[bytes], compression: Compression | None) -> Iterator[bytes]:
    """Yield *chunks*, compressed; as they are where *compression* is None."""
    if compression is None:
        yield from chunks
        return
    packer: Any
    if compression == "gzip":
        # zlib writes a header without time and name.
        packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    else:
        packer = _zstandard().ZstdCompressor(_ZSTD_LEVEL, write_checksum=True).compressobj()
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()


def unpacked(content: bytes, compression: Compression | None, limit: int) -> bytes:
    """Return *content*, unpacked; as it is where *compression* is None.

    Raises:
        ArtifactReadError: It is damaged, or has more than *limit* bytes.
    """
    if compression is None:
        return content
    with open_unpacked(io.BytesIO(content), compression, limit) as file:
        return file.read()


def open_unpacked(
    packed: io.BufferedIOBase, compression: Compression, limit: int | None
) -> io.BufferedReader:
    """Return a file to read what is *packed*; reading it raises ArtifactReadError.

    Args:
        packed: Is read from where it is, and not closed.
        compression: How it was packed.
        limit: Most bytes to unpack; None where the file is known to be the store's.
    """
    chunks = (_gunzipped if compression == "gzip" else _unzstandarded)(packed.read)
    return io.BufferedReader(_Chunks(chunks, limit), _READ_BYTES)


class _Chunks(io.RawIOBase):
    """Bytes that come in chunks, as a file."""

    def __init__(self, chunks: Iterator[bytes], limit: int | None) -> None:
        self._chunks = chunks
        self._limit = limit
        self._given = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
            self._given += len(chunk)
            if self._limit is not None and self._given > self._limit:
                raise ArtifactReadError(f"it unpacks to over {self._limit} bytes")
        target = memoryview(buffer).cast("B")
        length = min(len(target), len(self._rest))
        target[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        return length


def _gunzipped(read: Callable[[int], bytes]) -> Iterator[bytes]:
    unpacker = None
    try:
        while packed := read(_READ_BYTES):
            while packed:
                # One after another: files that are joined are a file too.
                unpacker = unpacker or zlib.decompressobj(_GZIP_WINDOW)
                yield unpacker.decompress(packed, _CHUNK_BYTES)
                packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
                if unpacker.eof:
                    unpacker = None
        if unpacker is not None:
            # Some hundred bytes: what fitted into no chunk.
            yield unpacker.flush()
    except zlib.error as error:
        raise ArtifactReadError(f"not gzip: {error}") from error
    if unpacker is not None and not unpacker.eof:
        raise ArtifactReadError("it ends in the middle of its gzip stream")


def _unzstandarded(read: Callable[[int], bytes]) -> Iterator[bytes]:
    try:
        zstandard = _zstandard()
    except ImportError as error:
        raise ArtifactReadError(f"reading zstd needs the package zstandard: {_INSTALL}") from error
    unpacker = None
    try:
        while packed := read(_ZSTD_READ_BYTES):
            while packed:
                unpacker = (
                    unpacker
                    or zstandard.ZstdDecompressor(
                        max_window_size=_ZSTD_WINDOW_BYTES
                    ).decompressobj()
                )
                yield unpacker.decompress(packed)
                packed = unpacker.unused_data if unpacker.eof else b""
                if unpacker.eof:
                    unpacker = None
    except zstandard.ZstdError as error:
        raise ArtifactReadError(f"not zstd: {error}") from error
    if unpacker is not None:
        raise ArtifactReadError("it ends in the middle of its zstd stream")


def _zstandard() -> ModuleType:
    # An extra, and only where it is asked for.
    import zstandard

    return zstandard
