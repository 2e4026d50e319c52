"""The summary file of the old class: its document, writing it, comparing two."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.legacy.collector import LatencyCollector

SUMMARY_NAME = "latency_summary.json"
CSV_NAME = "latency_raw.csv"


def summary_document(run_id: str, collector: LatencyCollector) -> dict[str, Any]:
    """Return the summary file's content.

    The old class asked for the statistics and then for the summary, which
    computes them again: twice a save.
    """
    stats = collector.get_stats()
    stats_by_satellite = collector.get_stats_by_satellite()
    summary = collector.get_summary()
    return {
        "run_id": run_id,
        "timestamp": datetime.now().isoformat(),  # noqa: DTZ005 - naive, as the old files are
        "total_measurements": summary["total_measurements"],
        "measurement_types": summary["measurement_types"],
        "stats": stats,
        "stats_by_satellite": stats_by_satellite,
    }


def write_summary(path: Path, document: dict[str, Any]) -> None:
    """Write the summary, indented by 2, in place."""
    with path.open("w", encoding="utf-8") as stream:
        json.dump(document, stream, indent=2)


def compare_summaries(
    run_id: str, this: dict[str, Any] | None, other_run_id: str, other: dict[str, Any] | None
) -> dict[str, Any]:
    """Return means and p95s of the metric types that both have; the other is looked for first."""
    if other is None or this is None:
        missing = other_run_id if other is None else run_id
        return {"error": f"Could not load metrics for run {missing}", "metrics": {}}
    metrics: dict[str, dict[str, float]] = {}
    for metric_type, ours in this.get("stats", {}).items():
        theirs = other.get("stats", {}).get(metric_type)
        if theirs is None:
            continue
        metrics[metric_type] = {
            "this_mean_ms": ours.get("mean_ms", 0),
            "other_mean_ms": theirs.get("mean_ms", 0),
            "diff_ms": ours.get("mean_ms", 0) - theirs.get("mean_ms", 0),
            "this_p95_ms": ours.get("p95_ms", 0),
            "other_p95_ms": theirs.get("p95_ms", 0),
        }
    return {
        "run1": run_id,
        "run2": other_run_id,
        "timestamp": datetime.now().isoformat(),  # noqa: DTZ005 - naive, as the old dict is
        "metrics": metrics,
    }
