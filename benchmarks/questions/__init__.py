"""The questions, by the name that `python -m benchmarks NAME` takes; one module each.

One that takes minutes yields its sections, so that they are kept if it is ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.questions import (
    analyst,
    batch,
    cold_start,
    command_line,
    compare,
    facade,
    get,
    growth,
    import_legacy,
    live,
    memory,
    peers,
    recent,
    record,
    save,
    scan,
    size,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.harness import Bench
    from benchmarks.results import Section

QUESTIONS: dict[str, Callable[[Bench], Iterable[Section]]] = {
    "record": record.ask,
    "live": live.ask,
    "save": save.ask,
    "batch": batch.ask,
    "get": get.ask,
    "facade": facade.ask,
    "compare": compare.ask,
    "recent": recent.ask,
    "scan": scan.ask,
    "import": import_legacy.ask,
    "size": size.ask,
    "analyst": analyst.ask,
    "peers": peers.ask,
    "cold_start": cold_start.ask,
    "command_line": command_line.ask,
    "memory": memory.ask,
    "growth": growth.ask,
}
