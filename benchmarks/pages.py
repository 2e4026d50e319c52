"""How long the pages of `serve` take from stores of many runs.

`python -m benchmarks.pages --write docs/performance.md` measures, and puts the table there.
Asked in this process, without a network; each page of other runs than the one before it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from starlette.testclient import TestClient

from astraguard_store import RunRepository
from astraguard_store.web.app import make_app
from benchmarks.stores import create_store
from benchmarks.tables import replace_between

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGIN, END = "<!-- pages:begin -->", "<!-- pages:end -->"
STORED = (10_000, 1_000_000)
ROUNDS = 7
SQL = "SELECT run_id, recorded_at FROM v_runs ORDER BY recorded_at DESC LIMIT 20"
COUNT = "SELECT count(*) FROM v_runs"


class Asked(NamedTuple):
    """A kind of page.

    Attributes:
        title: What it is.
        urls: One a round.
    """

    title: str
    urls: list[str]


def pages_of(runs: int) -> list[Asked]:
    """Return the pages to ask of a store of so many runs."""

    def names(number: int, before: int) -> str:
        return f"run_{runs - 1 - before - 100 * number:07d}"

    def compared(number: int, among: int) -> str:
        return urlencode([("run", names(number, n)) for n in range(among)])

    rounds = range(ROUNDS)
    of_newest = f"/sql?{urlencode({'sql': SQL})}"
    counted = f"/sql?{urlencode({'sql': COUNT})}"
    return [
        Asked("the newest runs", ["/"] * ROUNDS),
        Asked(
            "runs after a page in the middle", [f"/?before={names(n, runs // 2)}" for n in rounds]
        ),
        Asked("runs by a tag that none has", [f"/?tag=nobody_{n}" for n in rounds]),
        Asked("runs that failed, of which there are none", ["/?state=failed"] * ROUNDS),
        Asked("a run", [f"/run/{names(n, 50)}" for n in rounds]),
        Asked("a comparison of two runs", [f"/compare?{compared(n, 2)}" for n in rounds]),
        Asked("a comparison of four runs", [f"/compare?{compared(n, 4)}" for n in rounds]),
        Asked("a history of 100 runs", ["/history?metric=fault_detection"] * ROUNDS),
        Asked("SQL: the newest 20 runs", [of_newest] * ROUNDS),
        Asked("SQL: how many runs there are", [counted] * ROUNDS),
    ]


def measure(results: Path, runs: int) -> dict[str, tuple[float, float]]:
    """Return {title: (median, longest), ms}; the first of all is asked once before."""
    found = {}
    with RunRepository.open(results, read_only=True) as repository:
        client = TestClient(make_app(repository))
        client.get(f"/run/run_{runs - 1:07d}").raise_for_status()
        for asked in pages_of(runs):
            took = []
            for url in asked.urls:
                began = time.perf_counter()
                client.get(url).raise_for_status()
                took.append((time.perf_counter() - began) * 1e3)
            found[asked.title] = (median(took), max(took))
    return found


def render(measured: dict[int, dict[str, tuple[float, float]]]) -> str:
    """Return the table, in Markdown."""
    sizes = list(measured)
    lines = ["| page | " + " | ".join(f"of {runs:,} runs" for runs in sizes) + " |"]
    lines.append("|---|" + "---|" * len(sizes))
    for title in measured[sizes[0]]:
        cells = [
            f"{middle:.0f} ms, {longest:.0f} ms"
            for middle, longest in (measured[runs][title] for runs in sizes)
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=STORED)
    parser.add_argument("--stores", type=Path, help="where stores are made, and kept")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    given = parser.parse_args(arguments)
    measured = {}
    with tempfile.TemporaryDirectory(prefix="astraguard-pages-") as made:
        for runs in given.runs:
            results = (given.stores or Path(made)) / str(runs)
            if not results.exists():
                create_store(results, runs)
            measured[runs] = measure(results, runs)
    shown = render(measured)
    if given.write is None:
        print(shown)
    else:
        page = given.write.read_text(encoding="utf-8")
        given.write.write_text(replace_between(page, BEGIN, END, shown), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
