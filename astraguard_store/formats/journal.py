"""What a recorder writes while it records, as bytes: frames, each with a length and a checksum.

A journal only grows. A frame is its kind (one byte), the length of its content (four
bytes, little endian), the CRC-32 of kind, length and content, and the content. A journal
whose recorder died ends anywhere: what comes after its last whole frame doesn't count.

==== ==================================================================================
H    what the run is, as JSON: `JournalHead`; the first frame
L    new labels, as JSON: [[metric type, satellite, whether of missed events], …]
R    rows, packed as those of `Columns`, with the numbers of labels that came before
Z    nothing: what was recorded up to here was forgotten
A    a file that was attached, as JSON: [name, bytes, SHA-256]
M    the machine's noise so far, as JSON
E    how the recording ended, as JSON: [state, error]; the last frame
==== ==================================================================================
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from struct import Struct
from typing import Final, Literal, NamedTuple
from zlib import crc32

import msgspec

from astraguard_store.checks import check_attachment_name, check_name
from astraguard_store.columns import ROW_BYTES, Columns, Label, check_packed
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.formats.notes import told_by
from astraguard_store.model import Attachment, RunState
from astraguard_store.noise import MachineNoise
from astraguard_store.provenance import Provenance, check_tags

_Kind = Literal[b"H", b"L", b"R", b"Z", b"A", b"M", b"E"]
_FRAME: Final = Struct("<cII")
# Longer than any that is written: rows come a block at a time.
_MOST_BYTES: Final = 2**28
# A sector that is damaged takes some frames.
_MOST_DAMAGED_FRAMES: Final = 100


@dataclass(frozen=True, slots=True)
class JournalHead:
    """What a recorder knows when it begins.

    Attributes:
        began_at_us: When, microseconds since 1970.
        provenance: What the run is.
        tags: To set.
        satellite_buckets: Whether the buckets of each satellite are to be kept.
        in_database: Whether the measurements are to be kept in the table too.
        state_before: How far the stored run of that name came; None if there was none.
        error_before: Its error.
        replaces: What tells the stored run from all others, so that one which a restored
            backup brings back is known.
    """

    began_at_us: int
    provenance: Provenance
    tags: Mapping[str, str]
    satellite_buckets: bool = False
    in_database: bool = False
    state_before: RunState | None = None
    error_before: str | None = None
    replaces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal tells.

    Attributes:
        head: Its first frame.
        columns: What was recorded.
        attachments: The files that were attached, by name.
        noise: The machine's, as far as it was noted.
        end: (state, error), if the recording ended.
        is_torn_within: Whether whole frames come after one that is damaged: not the end of a
            recorder that died, but of a disk. They don't count.
    """

    head: JournalHead
    columns: Columns
    attachments: tuple[Attachment, ...] = ()
    noise: MachineNoise | None = None
    end: tuple[RunState, str | None] | None = None
    is_torn_within: bool = False


def _frame(kind: _Kind, content: bytes) -> bytes:
    head = kind + len(content).to_bytes(4, "little")
    return _FRAME.pack(kind, len(content), crc32(content, crc32(head))) + content


def head_frame(head: JournalHead) -> bytes:
    """Return the first frame."""
    told = {**told_by(head), "replaces": sorted(head.replaces)}
    return _frame(b"H", msgspec.json.encode(told))


def labels_frame(labels: list[tuple[str, str, bool]]) -> bytes:
    """Return the frame of new labels: (metric type, satellite, whether of missed events)."""
    return _frame(b"L", msgspec.json.encode(labels))


def rows_frame(packed: bytes) -> bytes:
    """Return the frame of some rows."""
    return _frame(b"R", packed)


def reset_frame() -> bytes:
    """Return the frame that says that all rows before it were forgotten."""
    return _frame(b"Z", b"")


def attachment_frame(attachment: Attachment) -> bytes:
    """Return the frame of a file that was attached."""
    return _frame(b"A", msgspec.json.encode(list(attachment)))


def noise_frame(noise: MachineNoise) -> bytes:
    """Return the frame of the machine's noise so far."""
    return _frame(b"M", msgspec.json.encode(asdict(noise)))


def end_frame(state: RunState, error: str | None) -> bytes:
    """Return the last frame."""
    return _frame(b"E", msgspec.json.encode([state, error]))


def read_journal(content: bytes | mmap.mmap) -> Journal | None:
    """Return what the whole frames of a journal tell; None if its recorder came to write none.

    Raises:
        ArtifactReadError: It is damaged before there is anything to be had of it, or a frame
            holds what no recorder writes.
    """
    reader = _Reader()
    position = 0
    try:
        while frame := _whole_frame(content, position):
            reader.take(frame.kind, frame.content)
            position = frame.end
        if reader.head is not None:
            return reader.journal(reader.head, is_torn_within=_goes_on_after(content, position))
    except (msgspec.MsgspecError, InvalidRunError, ValueError, TypeError) as error:
        raise ArtifactReadError(f"no journal of a recorder: {error}") from error
    if _goes_on_after(content, 0) or (
        len(content) >= _end_of_frame(content, 0) and any(memoryview(content))
    ):
        raise ArtifactReadError("no journal of a recorder: its first frame is damaged")
    return None


class _Frame(NamedTuple):
    kind: bytes
    content: memoryview
    end: int


def _end_of_frame(content: bytes | mmap.mmap, position: int) -> int:
    """Return where the frame ends that begins there, by the length that it tells."""
    if position + _FRAME.size > len(content):
        return len(content) + 1
    _, length, _ = _FRAME.unpack_from(content, position)
    return position + _FRAME.size + int(length)


def _whole_frame(content: bytes | mmap.mmap, position: int) -> _Frame | None:
    end = _end_of_frame(content, position)
    if end > len(content) or end - position > _MOST_BYTES:
        return None
    kind, length, checksum = _FRAME.unpack_from(content, position)
    told = memoryview(content)[position + _FRAME.size : end]
    if crc32(told, crc32(kind + length.to_bytes(4, "little"))) != checksum:
        return None
    return _Frame(kind, told, end)


def _goes_on_after(content: bytes | mmap.mmap, position: int) -> bool:
    """Return whether a whole frame follows the damaged ones that begin there."""
    for _ in range(_MOST_DAMAGED_FRAMES):
        position = _end_of_frame(content, position)
        if _whole_frame(content, position) is not None:
            return True
    return False


class _Reader:
    def __init__(self) -> None:
        self.head: JournalHead | None = None
        self._labels: list[Label] = []
        self._missed: list[int] = []
        # Views: a long journal isn't copied.
        self._blocks: list[tuple[memoryview, int]] = []
        self._attachments: dict[str, Attachment] = {}
        self._noise: MachineNoise | None = None
        self._end: tuple[RunState, str | None] | None = None

    def take(self, kind: bytes, content: memoryview) -> None:
        if kind != b"H" and self.head is None:
            raise ValueError("it doesn't begin with what the run is")
        take = {
            b"H": self._take_head,
            b"L": self._take_labels,
            b"R": self._take_rows,
            b"Z": self._forget,
            b"A": self._take_attachment,
            b"M": self._take_noise,
            b"E": self._take_end,
        }.get(kind)
        if take is None:
            raise ValueError(f"a frame is of the unknown kind {kind!r}")
        take(content)

    def journal(self, head: JournalHead, *, is_torn_within: bool) -> Journal:
        return Journal(
            head,
            Columns(self._blocks, self._labels, self._missed),
            tuple(sorted(self._attachments.values())),
            self._noise,
            self._end,
            is_torn_within,
        )

    def _take_head(self, content: memoryview) -> None:
        head = msgspec.json.decode(content, type=JournalHead)
        self.head = replace(head, tags=check_tags(head.tags))

    def _take_labels(self, content: memoryview) -> None:
        for metric_type, satellite_id, missed in msgspec.json.decode(
            content, type=list[tuple[str, str, bool]]
        ):
            check_name(metric_type, "metric_type")
            check_name(satellite_id, "satellite_id")
            if missed:
                self._missed.append(len(self._labels))
            self._labels.append((metric_type, satellite_id))

    def _take_rows(self, content: memoryview) -> None:
        if len(content) % ROW_BYTES:
            raise ValueError("a frame of rows ends within one")
        check_packed(content, len(self._labels))
        self._blocks.append((content, len(content)))

    def _forget(self, _: memoryview) -> None:
        self._blocks.clear()

    def _take_attachment(self, content: memoryview) -> None:
        name, size, sha256 = msgspec.json.decode(content, type=tuple[str, int, str])
        self._attachments[check_attachment_name(name)] = Attachment(name, size, sha256)

    def _take_noise(self, content: memoryview) -> None:
        self._noise = msgspec.json.decode(content, type=MachineNoise)

    def _take_end(self, content: memoryview) -> None:
        state, error = msgspec.json.decode(content, type=tuple[RunState, str | None])
        if state == "running":
            raise ValueError("it ends as one that is running")
        self._end = (state, error)
