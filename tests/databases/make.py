"""Write `<revision>.sqlite` and what it answers, once for each schema revision.

Run it when a revision is released: `python tests/databases/make.py`. It doesn't
overwrite: a stored database is what users of that release have, and every later
release must upgrade it and give the same answers.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astraguard_store import (
    Comparison,
    LatencyCollector,
    MetricSummary,
    RunHeader,
    RunRepository,
    RunSummary,
)
from astraguard_store.database.schema import HEAD_REVISION

HERE = Path(__file__).parent


STATISTICS = ("count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms")


def fields(value: Any, *names: str) -> dict[str, Any]:
    """Give the named attributes; by name, since a value's class may change, its names not."""
    return {name: getattr(value, name) for name in names}


def header(run: RunHeader | RunSummary) -> dict[str, Any]:
    """Give what a list shows of a run."""
    return {
        **fields(run, "run_id", "revision"),
        "recorded_at": run.recorded_at.isoformat(),
        "total_measurements": run.total_measurements,
    }


def statistics(metrics: Mapping[str, MetricSummary]) -> dict[str, Any]:
    """Give the statistics of each metric type."""
    return {name: fields(summary, *STATISTICS) for name, summary in metrics.items()}


def summary(run: RunSummary) -> dict[str, Any]:
    """Give all of a run."""
    return {
        **header(run),
        "metrics": statistics(run.metrics),
        "satellites": {name: statistics(of_one) for name, of_one in run.satellites.items()},
        "artifacts": [fields(a, "kind", "path", "bytes", "sha256", "rows") for a in run.artifacts],
    }


def comparison(found: Comparison) -> dict[str, Any]:
    """Give both sides of every statistic."""
    return {
        **fields(found, "baseline", "candidate"),
        "changes": [
            {
                **fields(change, "metric_type", "satellite_id"),
                **{
                    name: fields(getattr(change, name), "baseline", "candidate")
                    for name in STATISTICS
                },
            }
            for change in found.changes
        ],
    }


def answers(repository: RunRepository) -> dict[str, Any]:
    """Ask for everything that is stored, and for two comparisons."""
    headers = repository.recent(100)
    return {
        "recent": [header(run) for run in headers],
        "runs": {run.run_id: summary(repository.get(run.run_id)) for run in headers},
        "compare": comparison(repository.compare("first", "second")),
        "by_satellite": comparison(repository.compare("adopted", "second", by_satellite=True)),
    }


def measured(steps: int, satellites: int) -> LatencyCollector:
    """Record a few values with many digits; the metric types depend on the step."""
    collector = LatencyCollector()
    for i in range(steps):
        satellite = f"SAT-{i % satellites:03d}"
        collector.record_fault_detection(satellite, i / 10, 1 / (i + 3))
        collector.record_agent_decision(satellite, i / 10, 10 / (i + 7))
        if i % 2:
            collector.record_recovery_action(satellite, i / 10, 1000 / (i + 11))
    return collector


def write_old_run(results: Path) -> None:
    """Lay a run into *results* as the old class left it."""
    with tempfile.TemporaryDirectory() as elsewhere:
        with RunRepository.open(elsewhere) as other:
            other.save("adopted", measured(9, 2))
        shutil.copytree(Path(elsewhere, "adopted"), results / "adopted")


def main() -> None:
    """Write both files."""
    database, told = HERE / f"{HEAD_REVISION}.sqlite", HERE / f"{HEAD_REVISION}.json"
    if database.exists():
        raise SystemExit(f"{database} is there already, and stays as it is")
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        write_old_run(results)
        with RunRepository.open(results) as repository:
            repository.save("first", measured(5, 1))
            repository.save("second", measured(40, 3))
            repository.save("first", measured(30, 2))
            told.write_text(json.dumps(answers(repository), indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(results / "astraguard.db", database)
    print(f"wrote {database} and {told}")


if __name__ == "__main__":
    main()
