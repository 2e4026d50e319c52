"""The input that is being tried, in a mapped file: it survives a crash, a hang and a kill."""

from __future__ import annotations

import mmap
from pathlib import Path
from struct import Struct

__all__ = ["LAST_INPUT_BYTES", "LAST_INPUT_NAME", "note_input", "noted_input"]

LAST_INPUT_NAME = "last-input"
# As much as libFuzzer gives unless it is told otherwise.
_MOST = 2**20
_LENGTH = Struct("=q")
LAST_INPUT_BYTES = _LENGTH.size + _MOST


def note_input(mapped: mmap.mmap, content: bytes) -> None:
    """Put *content* into the mapped file; what is longer than it is cut."""
    kept = content[:_MOST]
    mapped[: _LENGTH.size] = _LENGTH.pack(len(kept))
    mapped[_LENGTH.size : _LENGTH.size + len(kept)] = kept


def noted_input(folder: Path) -> bytes:
    """Return the last input that was noted in *folder*; empty if there was none."""
    try:
        noted = (folder / LAST_INPUT_NAME).read_bytes()
    except FileNotFoundError:
        return b""
    (length,) = _LENGTH.unpack_from(noted)
    return noted[_LENGTH.size : _LENGTH.size + length]
