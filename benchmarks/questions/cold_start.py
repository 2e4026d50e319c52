"""How long does a fresh process take until its first run is saved, imports included?"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from benchmarks.children import run_child
from benchmarks.harness import Side
from benchmarks.results import OURS
from benchmarks.stores import create_store
from benchmarks.targets import DEPENDENCIES

if TYPE_CHECKING:
    from benchmarks.harness import Bench
    from benchmarks.results import Section

MEASUREMENTS = 10_000
IMPORTED = ("sqlalchemy", "polars", "numpy", "orjson")
TO_CREATE = ("alembic.command", "alembic.config")


def ask(bench: Bench) -> list[Section]:
    """Time whole processes: into a store that exists, and into a folder without one.

    The floor is a process that imports what such a save needs, and does nothing.
    The second is left out with --quick.
    """
    existing = bench.folder / "cold-start"
    create_store(existing, 0)
    numbers = count()

    def save(results: object) -> None:
        run_child(bench, "first_save", str(results), f"r{next(numbers)}", str(MEASUREMENTS))

    def import_only(modules: tuple[str, ...]) -> None:
        run_child(bench, "import_modules", *modules)

    rounds = bench.size(15, 1)
    title = f"first save of a fresh process, {MEASUREMENTS:,} measurements"
    sides = [Side(OURS, save, lambda: existing), Side(DEPENDENCIES, import_only, lambda: IMPORTED)]
    warm_up = bench.size(1, 0)
    sections = [bench.measure("cold_start", title, sides, rounds=rounds, warm_up=warm_up)]
    if not bench.quick:
        sides = [
            Side(OURS, save, lambda: bench.folder / f"cold-start-{next(numbers)}"),
            Side(DEPENDENCIES, import_only, lambda: IMPORTED + TO_CREATE),
        ]
        new_store = f"{title}, new store"
        sections.append(bench.measure("cold_start.new", new_store, sides, rounds=rounds))
    return sections
