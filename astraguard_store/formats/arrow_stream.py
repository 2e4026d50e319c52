"""Streams of Arrow IPC, cut into their batches; pure, but for reading the file.

polars reads a stream whole. Each batch with the schema and the dictionaries before it is a
stream too, and needs no more memory than it has rows.

A message is a mark (``ff ff ff ff``, left out before Arrow 0.15), the length of its
description, the description, which is a FlatBuffer, and its body. Of the description three
fields are read, whose places the format fixes (Arrow's Message.fbs).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from astraguard_store.exceptions import InvalidRunError

if TYPE_CHECKING:
    import polars as pl

STREAM_MARK: Final = b"\xff\xff\xff\xff"
"""What a stream begins with."""

_END: Final = STREAM_MARK + bytes(4)
# The places of fields in their tables, and what a message may be.
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_ID, _IS_DELTA = 0, 2
_SCHEMA, _DICTIONARY, _ROWS = 1, 2, 3


class _Message(NamedTuple):
    """A part of a stream.

    Attributes:
        kind: What it is.
        content: All its bytes.
        dictionary: Which one it tells of, if it does.
        is_delta: Whether it adds to what was told of that.
    """

    kind: int
    content: bytes
    dictionary: int = 0
    is_delta: bool = False


def arrow_batches(file: BinaryIO) -> Iterator[pl.DataFrame]:
    """Yield the batches of a stream.

    Raises:
        InvalidRunError: It is no stream, or ends within a message.
    """
    import polars as pl

    schema = b""
    dictionaries: dict[int, bytes] = {}
    for message in _messages(file):
        if message.kind == _SCHEMA:
            schema = message.content
        elif message.kind == _DICTIONARY:
            before = dictionaries.get(message.dictionary, b"") if message.is_delta else b""
            dictionaries[message.dictionary] = before + message.content
        elif message.kind == _ROWS:
            parts = (schema, *dictionaries.values(), message.content, _END)
            yield pl.read_ipc_stream(io.BytesIO(b"".join(parts)))


def _messages(file: BinaryIO) -> Iterator[_Message]:
    try:
        while head := _described(file):
            begin, description = head
            table = _Table.root(description)
            kind = table.number(_HEADER_TYPE, "<B")
            body = _read(file, table.number(_BODY_LENGTH, "<q"))
            content = begin + description + body
            if kind == _DICTIONARY:
                told = table.below(_HEADER)
                is_delta = bool(told.number(_IS_DELTA, "<B"))
                yield _Message(kind, content, told.number(_ID, "<q"), is_delta)
            else:
                yield _Message(kind, content)
    except (struct.error, EOFError) as error:
        raise InvalidRunError(f"it is no stream of Arrow, or ends too early: {error}") from error


def _described(file: BinaryIO) -> tuple[bytes, bytes] | None:
    """Return the beginning of a message and its description; None at the end."""
    begin = file.read(4)
    if begin == STREAM_MARK:
        begin += _read(file, 4)
    if not begin:
        return None
    (length,) = struct.unpack("<i", begin[-4:])
    return (begin, _read(file, length)) if length else None


def _read(file: BinaryIO, size: int) -> bytes:
    content = file.read(size) if size >= 0 else b""
    if len(content) != size:
        raise EOFError(f"{size} bytes should come, {len(content)} are there")
    return content


class _Table(NamedTuple):
    """A table in a FlatBuffer."""

    content: bytes
    place: int

    @classmethod
    def root(cls, content: bytes) -> _Table:
        return cls(content, cls._at(content, 0, "<I"))

    def number(self, field: int, form: str) -> int:
        """Return the number in a field, 0 where it is left out."""
        place = self._place(field)
        return self._at(self.content, place, form) if place else 0

    def below(self, field: int) -> _Table:
        """Return the table that a field leads to."""
        place = self._place(field)
        return _Table(self.content, place + self._at(self.content, place, "<I"))

    def _place(self, field: int) -> int:
        listed = self.place - self._at(self.content, self.place, "<i")
        offset = 4 + 2 * field
        if offset >= self._at(self.content, listed, "<H"):
            return 0
        beside = self._at(self.content, listed + offset, "<H")
        return self.place + beside if beside else 0

    @staticmethod
    def _at(content: bytes, place: int, form: str) -> int:
        found: tuple[Any, ...] = struct.unpack_from(form, content, place)
        return int(found[0])
