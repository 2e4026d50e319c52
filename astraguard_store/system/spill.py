"""Bytes that grow in a temporary file instead of in memory."""

from __future__ import annotations

import os
import tempfile

from astraguard_store.system.files import write_all


class Spill:
    """Bytes that are read by slices; they go with the object.

    Read by calls and not mapped, so that what was read takes no memory either.
    """

    def __init__(self) -> None:
        # Without a name, so nothing is left of a process that dies.
        self._file = tempfile.TemporaryFile(prefix="astraguard-", buffering=0)  # noqa: SIM115
        self._bytes = 0

    def __len__(self) -> int:
        return self._bytes

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._bytes)
        return os.pread(self._file.fileno(), max(0, stop - start), start)

    def append(self, content: bytes) -> None:
        """Add bytes at the end.

        Raises:
            OSError: The temporary folder is full.
        """
        write_all(self._file.fileno(), content)
        self._bytes += len(content)

    def put(self, place: int, content: bytes) -> None:
        """Write bytes at a place, in any order.

        Raises:
            OSError: The temporary folder is full.
        """
        written = 0
        while written < len(content):
            rest = memoryview(content)[written:]
            written += os.pwrite(self._file.fileno(), rest, place + written)
        self._bytes = max(self._bytes, place + len(content))

    def __del__(self) -> None:
        # Else Python warns that nobody closed it. It is missing where none could be made.
        if hasattr(self, "_file"):
            self._file.close()
