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
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from astraguard_store import (
    AtLeast,
    Comparison,
    LatencyCollector,
    MetricSummary,
    Provenance,
    RunHeader,
    RunRepository,
    RunSummary,
    ValueChange,
)
from astraguard_store.database.revision import HEAD_REVISION

HERE = Path(__file__).parent


STATISTICS = ("count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms", "missed")
BOUNDS = ("p50_above_ms", "p95_above_ms", "p99_above_ms")

# All that a save would learn by itself: the stored file shall not tell of the machine
# that made it.
WAS = Provenance(
    scenario="orbit",
    seed=7,
    software_version="2.3.1",
    git_commit="2f1c9d0e7a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d",
    git_branch="main",
    git_dirty=True,
    host="rig-7.example",
    platform="Linux x86_64",
    python="3.11.9",
    rig="rig-7",
    firmware="fw-12",
)
# Only of numbers as they are stored: each SQLite adds up in its own way.
QUESTIONS = {
    "runs": """
        SELECT run_id, revision, recorded_at, recorded_at_us, total_measurements, missed_events,
            adopted, scenario, seed, software_version, git_commit, git_branch, git_dirty, host,
            platform, python, rig, firmware, started_at, finished_at, percentile_definition, tags
        FROM v_runs ORDER BY run_id""",
    "tags": "SELECT * FROM v_tags ORDER BY run_id, tag",
    "buckets": """
        SELECT run_id, satellite_id, metric_type, bucket, count, missed FROM v_buckets
        WHERE run_id = 'missed' ORDER BY satellite_id, metric_type, bucket""",
    "measurements": """
        SELECT run_id, COUNT(*), MIN(duration_ms), MAX(duration_ms), SUM(missed)
        FROM v_measurements GROUP BY run_id ORDER BY run_id""",
    "missed": "SELECT * FROM v_measurements WHERE missed = 1 ORDER BY run_id, row",
}


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
    return {name: fields(summary, *STATISTICS, *BOUNDS) for name, summary in metrics.items()}


def known(run: RunSummary) -> dict[str, Any]:
    """Give what is known of what a run was."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in run.provenance.known()
    }


def summary(run: RunSummary) -> dict[str, Any]:
    """Give all of a run."""
    return {
        **header(run),
        "metrics": statistics(run.metrics),
        "satellites": {name: statistics(of_one) for name, of_one in run.satellites.items()},
        "artifacts": [fields(a, "kind", "path", "bytes", "sha256", "rows") for a in run.artifacts],
        "provenance": known(run),
        "tags": dict(run.tags),
    }


def numbers(change: ValueChange) -> dict[str, float | None]:
    """Give both sides of one statistic, None where a side has only a lower bound."""
    sides = fields(change, "baseline", "candidate")
    return {name: None if isinstance(v, AtLeast) else v for name, v in sides.items()}


def comparison(found: Comparison) -> dict[str, Any]:
    """Give both sides of every statistic."""
    return {
        **fields(found, "baseline", "candidate"),
        "changes": [
            {
                **fields(change, "metric_type", "satellite_id"),
                **{name: numbers(getattr(change, name)) for name in STATISTICS},
            }
            for change in found.changes
        ],
        "provenance_changes": [
            fields(change, "name", "baseline", "candidate") for change in found.provenance_changes
        ],
        "warnings": list(found.warnings),
    }


def answers(repository: RunRepository) -> dict[str, Any]:
    """Ask for everything that is stored, and for some comparisons."""
    headers = repository.recent(100)
    ids = {run.run_id for run in headers}
    pairs = [("first", "missed"), ("second", "elsewhere")]
    return {
        "recent": [header(run) for run in headers],
        "runs": {run.run_id: summary(repository.get(run.run_id)) for run in headers},
        "compare": comparison(repository.compare("first", "second")),
        "by_satellite": comparison(repository.compare("adopted", "second", by_satellite=True)),
        "since_0002": [comparison(repository.compare(*pair)) for pair in pairs if ids >= {*pair}],
        "questions": {name: repository.query(sql).rows for name, sql in QUESTIONS.items()},
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


def with_missed_events() -> LatencyCollector:
    """Record so many missed events that the 95th percentile of the detections is a bound."""
    collector = measured(40, 2)
    for i in range(4):
        collector.record_missed("fault_detection", "SAT-001", i / 7, 500 / (i + 3))
    collector.record_missed("recovery_action", "SAT-000", 4.0, 1e4 / 3)
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
            repository.save("first", measured(5, 1), provenance=WAS, tags={"week": "46"})
            repository.save("second", measured(40, 3), provenance=WAS)
            repository.save("first", measured(30, 2), provenance=WAS, tags={"pinned": ""})
            repository.set_tags("second", {"note": "the fan's off", "week": "47"})
            elsewhere = replace(WAS, scenario="eclipse", host="rig-8.example", git_dirty=False)
            repository.save("elsewhere", measured(6, 1), provenance=elsewhere)
        with RunRepository.open(results, keep_measurements="database") as repository:
            repository.save("missed", with_missed_events(), provenance=WAS, satellite_buckets=True)
            told.write_text(json.dumps(answers(repository), indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(results / "astraguard.db", database)
    print(f"wrote {database} and {told}")


if __name__ == "__main__":
    main()
