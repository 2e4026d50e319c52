"""What a server costs: runs pushed a second, answers beside bare psycopg, and among many runs.

`python -m benchmarks.fleet` starts a PostgreSQL server of its own as the tests do, beside the
client, with fsync off, so that no disk is measured. It pushes 10,000 runs, at no delay and at
10 ms a round trip, makes the other runs by SQL on the server, and asks in turn: us, bare psycopg
with our statement, and bare psycopg with a statement as one writes it by hand.
`--write docs/fleet.md` puts the tables there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

from astraguard_store import LatencyCollector, RunRepository
from astraguard_store.database.lists import recent_sql
from astraguard_store.database.postgres.runs import COMPARISONS, LOAD_ONE
from astraguard_store.database.schema import metadata
from astraguard_store.database.sql import for_server
from astraguard_store.store.schema_versions import upgrade_schema
from benchmarks.harness import Progress, each_once, interleave
from benchmarks.machine import describe_machine
from benchmarks.tables import replace_between
from benchmarks.workloads import latencies, record, run_id, shuffled_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgres import Server

MARKS: Final = ("<!-- fleet:begin -->", "<!-- fleet:end -->")
PUSHED: Final = 10_000
DELAY_S: Final = 0.010
CALLS: Final = 20
# The others are made of them.
_PUSHED_OF_MANY: Final = 1_000
_COPIES_AT_ONCE: Final = 50
# As a server's owner sets it, to a quarter of the memory at most: see docs/fleet.md.
_SHARED_BUFFERS: Final = "1GB"
_MEASUREMENTS: Final = 1_800
# How many runs a question is about.
_WANTED: Final = {"get": 1, "recent": 0, "compare": 2}

# As one writes them by hand: one statement each, with all that the answer holds.
_GET: Final = """
SELECT r.*, d.document,
    (SELECT json_object_agg(t.tag, t.value) FROM run_tags AS t WHERE t.run_id = r.run_id),
    (SELECT json_agg(t) FROM attachments AS t WHERE t.run_id = r.run_id),
    (SELECT json_agg(t) FROM units AS t WHERE t.run_id = r.run_id),
    n.*
FROM runs AS r LEFT JOIN run_documents AS d USING (run_id) LEFT JOIN machine_noise AS n
    USING (run_id)
WHERE r.run_id = %s
"""
_RECENT: Final = (
    "SELECT run_id, revision, recorded_at_us, total_measurements, state, last_written_at_us "
    "FROM runs ORDER BY recorded_at_us DESC, run_id DESC LIMIT 10"
)
_COMPARE: Final = """
SELECT r.*, n.*, (SELECT json_agg(t) FROM units AS t WHERE t.run_id = r.run_id), s.*
FROM runs AS r LEFT JOIN machine_noise AS n USING (run_id)
    LEFT JOIN statistics AS s ON s.run_id = r.run_id AND s.satellite_id = ''
WHERE r.run_id IN (%s, %s)
"""


@dataclass(slots=True)
class Measured:
    """What was measured.

    Attributes:
        pushed_per_s: By the delay of a round trip, ms.
        known_s: How long a push took that had nothing to send.
        asked: Seconds by (question, number of runs): ours, those of psycopg with the same
            statement, and with one written by hand.
        pages: How many pages of 8 kB the server looks at for it.
        delayed: The same at 10 ms, by question, among the least runs.
    """

    pushed_per_s: dict[int, float] = field(default_factory=dict)
    known_s: float = 0.0
    asked: dict[tuple[str, int], tuple[float, ...]] = field(default_factory=dict)
    pages: dict[tuple[str, int], int] = field(default_factory=dict)
    delayed: dict[str, tuple[float, ...]] = field(default_factory=dict)


def measure(pushed: int, sizes: tuple[int, ...], rounds: int) -> Measured:
    """Measure all of it."""
    import postgres
    from network import Network

    say = Progress().say
    found = Measured()
    with ExitStack() as stack:
        say(f"making a store of {pushed:,} runs")
        rig = stack.enter_context(filled(pushed))
        postgres.SETTINGS["shared_buffers"] = _SHARED_BUFFERS
        server = postgres.Server.new()
        stack.callback(server.remove)
        network = stack.enter_context(Network.before(server))
        for delay_s in (0.0, DELAY_S):
            name = server.new_database()
            upgrade_schema(server.url(name))
            network.delay_s = delay_s
            url = network.url(name) if delay_s else server.url(name)
            taken_s = _seconds(partial(push_all, rig, url, pushed))
            found.pushed_per_s[round(delay_s * 1e3)] = pushed / taken_s
            say(f"pushed {pushed / taken_s:,.0f} runs/s at {delay_s * 1e3:.0f} ms")
        found.known_s = _seconds(lambda: rig.push(server.url(name)))
        for size in sizes:
            name = server.new_database()
            upgrade_schema(server.url(name))
            fill_server(server, name, size)
            say(f"asking among {size:,} runs")
            for question, sides in _asked(server.url(name), size, rounds).items():
                found.asked[question, size] = sides
            for question, pages in _pages(server.url(name), size).items():
                found.pages[question, size] = pages
            if size == min(sizes):
                network.delay_s = DELAY_S
                found.delayed = _asked(network.url(name), size, max(rounds // 10, 3))
                network.delay_s = 0.0
            server.drop_database(name)
    return found


def filled(size: int) -> RunRepository:
    """Return a store in memory with so many runs of 1,800 measurements."""
    collector = LatencyCollector()
    record(collector, latencies(_MEASUREMENTS))
    repository = RunRepository.in_memory()
    for first in range(0, size, 100):
        numbers = range(first, min(first + 100, size))
        repository.save_many([(run_id(number), collector) for number in numbers])
    return repository


def push_all(rig: RunRepository, url: str, runs: int) -> None:
    """Push, and see that all of it went."""
    report = rig.push(url)
    assert len(report.pushed) == runs, report


def fill_server(server: Server, name: str, size: int) -> None:
    """Put *size* runs into a database: a thousand pushed ones, and copies of them by SQL."""
    with filled(_PUSHED_OF_MANY) as few:
        push_all(few, server.url(name), _PUSHED_OF_MANY)
    tables = [table for table in metadata.sorted_tables if "run_id" in table.c]
    with server.transaction(name) as connection:
        # No trigger shall look for documents to drop, nor for the run of each row.
        connection.execute("SET session_replication_role = replica")
        for table in tables:
            columns = [column.name for column in table.columns]
            values = ", ".join(_copied(table.name, column) for column in columns)
            listed = ", ".join(f'"{column}"' for column in columns)
            copied = (
                f'INSERT INTO "{table.name}" ({listed}) SELECT {values} FROM "{table.name}" AS t '
                "CROSS JOIN generate_series(%s::int, %s::int) AS copy WHERE t.run_id < %s"
            )
            # A few at a time, so that an index grows at one end, and not all over.
            for first in range(1, size // _PUSHED_OF_MANY, _COPIES_AT_ONCE):
                last = min(first + _COPIES_AT_ONCE, size // _PUSHED_OF_MANY) - 1
                connection.execute(copied, (first, last, run_id(_PUSHED_OF_MANY)))
    server.execute(name, "VACUUM ANALYZE")


def _copied(table: str, column: str) -> str:
    copied_id = (
        f"'run_' || lpad((substr(t.run_id, 5)::bigint + copy * {_PUSHED_OF_MANY})::text, 7, '0')"
    )
    if column == "run_id":
        return copied_id
    if (table, column) == ("runs", "recorded_at_us"):
        return "t.recorded_at_us + copy::bigint * 1000000"
    if (table, column) == ("artifacts", "path"):
        return f"replace(t.path, t.run_id, {copied_id})"
    return f't."{column}"'


def _asked(url: str, size: int, rounds: int) -> dict[str, tuple[float, ...]]:
    """Return the seconds of each question, of ours and of bare psycopg: the lower quartile.

    A machine that others use too adds to a sample and takes nothing away.
    """
    import psycopg

    found = {}
    recent = _recent()
    with RunRepository.open(url) as ours, psycopg.connect(url, autocommit=True) as bare:
        questions: dict[str, list[Callable[..., object]]] = {
            "get": [
                ours.get,
                lambda one: _rows(bare, LOAD_ONE, {"run_id": one, "known": None}),
                lambda one: _rows(bare, _GET, (one,)),
            ],
            "recent": [
                lambda: ours.recent(10),
                lambda: _rows(bare, recent),
                lambda: _rows(bare, _RECENT),
            ],
            "compare": [
                ours.compare,
                lambda b, c: _rows(bare, COMPARISONS[False], {"baseline": b, "candidate": c}),
                lambda b, c: _rows(bare, _COMPARE, (b, c)),
            ],
        }
        for question, calls in questions.items():
            wanted = _WANTED[question]
            sides = [
                each_once(str(number), call, _ids(size, wanted), CALLS)
                for number, call in enumerate(calls)
            ]
            samples = interleave(sides, rounds=rounds)
            found[question] = tuple(quantiles(taken)[0] for taken in samples.values())
    return found


def _recent() -> str:
    text, (limit,) = for_server(recent_sql())
    return text.replace(f"%({limit})s::BIGINT", "10")


def _pages(url: str, size: int) -> dict[str, int]:
    """Return how many pages the server looks at for each question, of ten the most."""
    import psycopg

    found: dict[str, int] = dict.fromkeys(_WANTED, 0)
    with psycopg.connect(url, autocommit=True) as bare:
        for baseline, candidate in islice(_ids(size, 2), 10):
            asked: dict[str, tuple[str, dict[str, Any]]] = {
                "get": (LOAD_ONE, {"run_id": baseline, "known": None}),
                "recent": (_recent(), {}),
                "compare": (COMPARISONS[False], {"baseline": baseline, "candidate": candidate}),
            }
            for question, (sql, bound) in asked.items():
                explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}".encode()
                row: Any = bare.execute(explained, bound).fetchone()
                plan = row[0][0]["Plan"]
                pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
                found[question] = max(found[question], pages)
    return found


def _rows(connection: Any, sql: str, bound: object = None) -> object:
    return connection.execute(sql, bound).fetchall()


def _ids(size: int, wanted: int) -> Iterator[tuple[str, ...]]:
    """Yield so many ids at a time, in an order that repeats only after all of them."""
    ids = shuffled_ids(size)
    place = 0
    while True:
        yield tuple(ids[(place + n) % size] for n in range(wanted))
        place += max(wanted, 1)


def lines(found: Measured, pushed: int) -> list[str]:
    """Return the tables, as Markdown."""
    sizes = sorted({size for _, size in found.asked})
    heads = [f"{size:,} runs" for size in sizes]
    rows = [
        f"| {question} | "
        + " | ".join(_times(found.asked[question, size]) for size in sizes)
        + f" | {_times(found.delayed[question])} |"
        for question in _WANTED
    ]
    rows += [
        f"| pages for {question} | "
        + " | ".join(str(found.pages[question, size]) for size in sizes)
        + " | |"
        for question in _WANTED
    ]
    by_delay = ", ".join(f"{n:,.0f} at {ms} ms" for ms, n in found.pushed_per_s.items())
    machine = describe_machine(Path(tempfile.gettempdir()))
    where = f"{machine['cores']} cores that others used too, load {machine['load']}"
    return [
        (
            f"Runs pushed a second, of {pushed:,}, by the delay of a round trip: {by_delay}. "
            f"To learn that none of them is new took {found.known_s:.2f} s."
        ),
        "",
        f"| ms (× bare psycopg) | {' | '.join(heads)} | {heads[0]}, 10 ms |",
        f"|---|{'---:|' * (len(heads) + 1)}",
        *rows,
        "",
        f"{where}; commit {machine['commit']}.",
    ]


def _times(sides: tuple[float, ...]) -> str:
    ours, same, by_hand = sides
    return f"{ours * 1e3:.2f} ({ours / same:.1f}, {ours / by_hand:.1f})"


def _seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs and rounds")
    parser.add_argument("--most", type=int, default=100_000, metavar="RUNS", help="to ask among")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into PAGE")
    asked = parser.parse_args()
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    pushed, rounds = (500, 5) if asked.quick else (PUSHED, 60)
    sizes = tuple(10**n for n in range(3, 7) if 10**n <= asked.most)
    shown = lines(measure(pushed, sizes, rounds), pushed)
    print("\n".join(shown))
    if asked.write:
        page = asked.write.read_text(encoding="utf-8")
        text = "\n".join(["", *shown, ""])
        asked.write.write_text(replace_between(page, *MARKS, text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
