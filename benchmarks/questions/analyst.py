"""What does a question cost somebody who asks about all of 200,000 runs?"""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from astraguard_store import RunRepository
from astraguard_store.model import utc_from_epoch_us
from benchmarks.fill import FIRST_RECORDED_US
from benchmarks.harness import Side, again
from benchmarks.stores import create_store, fresh_collectors
from benchmarks.workloads import METRIC_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from benchmarks.harness import Bench
    from benchmarks.results import Section

METRIC = METRIC_TYPES[0]
NEWEST = 1_000
"""Runs since the moment that questions by date begin with."""

JOIN = (
    "SELECT satellite_id, max(p95_at_least_ms) AS p95_ms "
    "FROM v_latency JOIN v_runs USING (run_id) "
    f"WHERE metric_type = '{METRIC}' AND satellite_id IS NOT NULL AND recorded_at >= :since "
    "GROUP BY satellite_id ORDER BY p95_ms DESC LIMIT 5"
)

PRUNED = 400
CHECKED = 2_000
MEASUREMENTS = 100


def ask(bench: Bench) -> list[Section]:
    """Time questions to a filled store, whose runs have no files; prune and check saved runs."""
    stored = bench.size(200_000, 2_000)
    results = bench.folder / "analyst"
    bench.progress.say(f"analyst: filling a store with {stored:,} runs")
    create_store(results, stored)
    name, _ = bench.ours()[0]
    sections = list(of_filled(bench, results, stored))
    return [*sections, _prune(bench, name), _check(bench, name)]


def of_filled(
    bench: Bench, results: Path, stored: int, suffix: str = "", keys: Collection[str] = ()
) -> Iterator[Section]:
    """Time questions to a filled store of so many runs.

    Args:
        bench: How much is measured.
        results: The store.
        stored: How many runs it was filled with.
        suffix: Of the sections' keys.
        keys: Which questions; all without.
    """
    name, _ = bench.ours()[0]
    with RunRepository.open(results, read_only=True) as repository:
        for key, (title, question) in _questions(repository, stored).items():
            if key in (keys or (key,)):
                yield bench.measure(
                    f"analyst.{key}{suffix}",
                    f"{title} of {stored:,} runs",
                    [again(name, question)],
                    rounds=3,
                    reduced=bench.quick,
                )


def _questions(
    repository: RunRepository, stored: int
) -> dict[str, tuple[str, Callable[[], object]]]:
    since = utc_from_epoch_us(FIRST_RECORDED_US + (stored - NEWEST) * 1_000_000)
    text = since.isoformat(timespec="microseconds").replace("+00:00", "Z")
    by = partial(repository.grouped_percentiles, quantiles=(0.5, 0.99), metric_type=METRIC)
    return {
        "join": (
            f"two views joined, the newest {NEWEST:,}",
            partial(repository.query, JOIN, {"since": text}),
        ),
        "percentiles": ("percentiles", partial(by, ())),
        "percentiles_by_week": ("percentiles by week", partial(by, ("week",))),
        "percentiles_by_run": ("percentiles by run", partial(by, ("run",))),
        "prune_dry": ("prune, a dry run", partial(repository.prune, 1_000, dry_run=True)),
        "recent_since": ("recent, since a moment", partial(repository.recent, since=since)),
        "recent_until": ("recent, until a moment", partial(repository.recent, until=since)),
        "recent_state": ("recent, interrupted", partial(repository.recent, state="interrupted")),
        "recent_scenario": ("recent, of a scenario", partial(repository.recent, scenario="none")),
        "recent_tag": ("recent, with a tag", partial(repository.recent, tag="none")),
        "recent_above": (
            "recent, a percentile that no run is above",
            partial(repository.recent, above=(METRIC, "p95_ms", 1e6)),
        ),
    }


def _prune(bench: Bench, name: str) -> Section:
    """Prune runs with files; the time is that of one of them."""
    runs = bench.size(PRUNED, PRUNED // 10)
    numbers = count()

    def saved() -> Path:
        results = bench.folder / f"pruned-{next(numbers)}"
        collector = fresh_collectors(MEASUREMENTS)()
        with RunRepository.open(results, durability="normal") as repository:
            repository.save_many((f"run_{number}", collector) for number in range(2 * runs))
        return results

    def prune(results: Path) -> None:
        with RunRepository.open(results) as repository:
            repository.prune(keep=runs)

    side = Side(name, prune, saved, operations=runs)
    title = f"prune, a run of {runs:,} with their files"
    return bench.measure("prune", title, [side], rounds=3, reduced=bench.quick)


def _check(bench: Bench, name: str) -> Section:
    """Check runs with both of their files; the time is that of one of them."""
    runs = bench.size(CHECKED, CHECKED // 20)
    results = bench.folder / "checked"
    collector = fresh_collectors(MEASUREMENTS)()
    with RunRepository.open(results, durability="normal") as repository:
        repository.save_many((f"run_{number}", collector) for number in range(runs))
        side = Side(name, lambda _: repository.check(), operations=runs)
        title = f"check, a run of {runs:,} with their files"
        return bench.measure("check", title, [side], rounds=3, reduced=bench.quick)
