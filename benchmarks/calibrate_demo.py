"""How often a verdict is wrong, and what it finds, on this machine.

`python -m benchmarks.calibrate_demo` (`make calibrate-demo`) flies the demo's swarm 60
times, each in a process of its own and with the same software, and draws baselines and
candidates from these runs. Whatever is called regressed of unchanged runs is a false
alarm. Then the measured latencies of the candidates are made slower in known ways, and
it counts how often that is found. `--write docs/verdicts.md` puts the table there.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from astraguard_store import (
    GateReport,
    LatencyCollector,
    Limits,
    MetricSummary,
    Provenance,
    ReferenceWorkload,
)
from astraguard_store.demo import FlightPlan, RunningDeviation, fly
from astraguard_store.statistics import summarize
from astraguard_store.verdict.gate import judge_sides
from astraguard_store.verdict.sides import Sides, by_start
from astraguard_store.verdict.values import JudgedRun

FLIGHTS: Final = 60
PLAN: Final = FlightPlan(satellites=10, duration_s=40, faults=4)
DRAWS: Final = 400
SIZES: Final = ((5, 1), (10, 1), (5, 3), (10, 3), (10, 5))
SEED: Final = 1
MARKS: Final = ("<!-- calibration:begin -->", "<!-- calibration:end -->")

Row = tuple[str, str, float, float, bool]
"""(metric type, satellite, scenario time in s, duration in ms, missed)."""

Change = Callable[[Row, random.Random], Row]


class Recorded(NamedTuple):
    """One flight: what it measured, and when it began."""

    number: int
    started_us: int
    rows: list[Row]


def flown(number: int) -> Recorded:
    """Fly once; called in a new process."""
    began = datetime.now(UTC)
    flight = fly(PLAN, RunningDeviation, reference=ReferenceWorkload())
    rows = [
        (m.metric_type, m.satellite_id, m.scenario_time_s, m.duration_ms, False)
        for m in flight.collector.measurements
    ]
    return Recorded(number, int(began.timestamp() * 1e6), rows)


def slower(factor: float) -> Change:
    """Return the change that makes all software slower."""
    return lambda row, _: (*row[:3], row[3] * factor, row[4])


def leak(row: Row, _: random.Random) -> Row:
    """Let it become slower during the run, up to twice as slow."""
    return (*row[:3], row[3] * (1 + row[2] / PLAN.duration_s), row[4])


def one_satellite(row: Row, _: random.Random) -> Row:
    """Let one satellite be twice as slow."""
    return (*row[:3], row[3] * (2 if row[1] == "SAT001" else 1), row[4])


def missing(share: float) -> Change:
    """Return the change that loses a share of the detections."""
    return lambda row, draw: (
        (*row[:4], True) if row[0] == "fault_detection" and draw.random() < share else row
    )


def judged(recorded: Recorded, change: Change | None, *, by_satellite: bool) -> JudgedRun:
    """Return the run as the rule sees it, its software changed (the reference never is)."""
    draw = random.Random(f"{SEED}/{recorded.number}")
    collector = LatencyCollector()
    version = None
    for row in recorded.rows:
        if row[0] == "reference":
            version = row[1]
            changed = row
        else:
            changed = change(row, draw) if change else row
        metric_type, satellite, time_s, duration_ms, missed = changed
        record = collector.record_missed if missed else collector.record
        record(metric_type, satellite, time_s, duration_ms)
    found = summarize(collector.snapshot())
    cells: dict[tuple[str, str | None], MetricSummary] = {
        (name, None): summary for name, summary in found.metrics.items()
    }
    if by_satellite:
        cells |= {
            (name, satellite): summary
            for satellite, metrics in found.satellites.items()
            for name, summary in metrics.items()
        }
    ticks = max(s.count for metrics in found.satellites.values() for s in metrics.values())
    was = Provenance(scenario="demo swarm", rig="simulated", git_commit="0")
    run_id = f"flight-{recorded.number:02d}"
    return JudgedRun(run_id, recorded.started_us, was, {}, cells, ticks, version)


class Share(NamedTuple):
    """How many draws ended in which verdict, and how many named the slow satellite."""

    verdicts: Counter[str]
    named: int


def drawn(
    unchanged: Sequence[JudgedRun],
    changed: Sequence[JudgedRun],
    sizes: tuple[int, int],
    draws: int,
    *,
    reference: bool,
    by_satellite: bool = False,
) -> Share:
    """Judge so many draws of baseline and candidate."""
    choose = random.Random(f"{SEED}/{sizes}")
    verdicts: Counter[str] = Counter()
    named = 0
    for _ in range(draws):
        places = choose.sample(range(len(unchanged)), sum(sizes))
        sides = Sides(
            by_start(unchanged[place] for place in places[: sizes[0]]),
            by_start(changed[place] for place in places[sizes[0] :]),
            by_satellite=by_satellite,
        )
        if not reference:
            sides = replace(sides, reference=None)
        report: GateReport = judge_sides(sides, Limits())
        verdicts[report.verdict] += 1
        named += {cell.satellite_id for cell in report.regressed} == {"SAT001"}
    return Share(verdicts, named)


def table(recorded: Sequence[Recorded], draws: int) -> list[str]:
    """Return the table, in Markdown."""
    changes: list[tuple[str, Change | None]] = [
        ("nothing", None),
        ("+10 %", slower(1.1)),
        ("+20 %", slower(1.2)),
        ("+50 %", slower(1.5)),
        ("a leak, up to twice", leak),
        ("one of 10 satellites, twice", one_satellite),
    ]
    runs = {name: [judged(r, c, by_satellite=False) for r in recorded] for name, c in changes}
    titles = [f"{k} v {m}" for k, m in SIZES]
    lines = [
        f"| slowed by | reference | {' | '.join(titles)} |",
        f"|---|---|{'---:|' * len(SIZES)}",
    ]
    worst: Counter[str] = Counter()
    for name, _ in changes:
        for reference in (True, False):
            cells = []
            for sizes in SIZES:
                share = drawn(runs["nothing"], runs[name], sizes, draws, reference=reference)
                cells.append(f"{share.verdicts['regressed'] / draws:.1%}".replace("%", " %"))
                if name == "nothing":
                    worst["improved"] = max(worst["improved"], share.verdicts["improved"])
                else:
                    worst["equivalent"] += share.verdicts["equivalent"]
            lines.append(f"| {name} | {'yes' if reference else 'no'} | {' | '.join(cells)} |")
    lines += ["", *_others(recorded, draws)]
    lines += [
        "",
        f"Unchanged runs were called improved in {worst['improved'] / draws:.1%} of the draws at "
        f"most; runs that were slowed were called equivalent in {worst['equivalent']} of "
        f"{draws * 2 * len(SIZES) * (len(changes) - 1)}.".replace("%", " %"),
    ]
    return lines


def _others(recorded: Sequence[Recorded], draws: int) -> list[str]:
    """Return the lines on single satellites and on missed events."""
    few = max(20, draws // 5)
    before = [judged(r, None, by_satellite=True) for r in recorded]
    after = [judged(r, one_satellite, by_satellite=True) for r in recorded]
    unchanged = drawn(before, before, (10, 3), few, reference=True, by_satellite=True)
    slow = drawn(before, after, (10, 3), few, reference=True, by_satellite=True)
    rare = [judged(r, missing(0.005), by_satellite=False) for r in recorded]
    often = [judged(r, missing(0.05), by_satellite=False) for r in recorded]
    same = drawn(rare, rare, (10, 3), draws, reference=True)
    lost = drawn(rare, often, (10, 3), draws, reference=True)
    text = (
        f"By satellite, 10 v 3: the one that is twice as slow, and no other, was named in "
        f"{slow.named / few:.0%}; unchanged runs were called regressed in "
        f"{unchanged.verdicts['regressed'] / few:.1%}. Ten times the missed events (0.5 to "
        f"5 %): found in {lost.verdicts['regressed'] / draws:.0%}; unchanged: "
        f"{same.verdicts['regressed'] / draws:.1%}."
    )
    return [re.sub(r"(\d)%", r"\1 %", text)]


def recorded_flights(flights: int) -> list[Recorded]:
    """Fly so many times, one after the other, each in a new process."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        found = []
        for done, one in enumerate(pool.map(flown, range(flights)), start=1):
            found.append(one)
            print(f"\rflown {done} of {flights}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def write(page: Path, lines: Sequence[str]) -> None:
    """Put the table between its marks in a page."""
    text = page.read_text(encoding="utf-8")
    (before, rest), (begin, end) = text.split(MARKS[0]), MARKS
    after = rest.split(end)[1]
    body = "\n".join([begin, "", *lines, "", end])
    page.write_text(f"{before}{body}{after}", encoding="utf-8")


def main() -> None:
    """Fly, draw, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flights", type=int, default=FLIGHTS)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    arguments = parser.parse_args()
    if arguments.flights < max(map(sum, SIZES)):
        parser.error(f"--flights: {max(map(sum, SIZES))} or more are needed")
    flights = recorded_flights(arguments.flights)
    lines = table(flights, arguments.draws)
    print("\n".join(lines))
    if arguments.write:
        write(arguments.write, lines)


if __name__ == "__main__":
    main()
