"""Memory of the process itself, as Linux counts it."""

from __future__ import annotations

import re
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


def resident_bytes() -> int:
    """Return the memory that is resident now."""
    return _kilobytes("VmRSS") * 1024


def peak_bytes() -> int:
    """Return the most memory that was resident since the start or `forget_peak`."""
    return _kilobytes("VmHWM") * 1024


def forget_peak() -> None:
    """Let the peak begin anew at what is resident now."""
    CLEAR_REFS.write_text("5", encoding="ascii")


def _kilobytes(label: str) -> int:
    found = re.search(rf"^{label}:\s+(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise LookupError(f"{STATUS} has no {label}")
    return int(found[1])
