"""The first variant: one file after the other, and every read from its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmarks.legacy.summaries import (
    CSV_NAME,
    SUMMARY_NAME,
    compare_summaries,
    summary_document,
    write_summary,
)

if TYPE_CHECKING:
    from benchmarks.legacy.collector import LatencyCollector


class SequentialStorage:
    """Keeps one run's two files.

    Unlike the old class, `compare_runs` looks for the other run under the same
    results folder: it costs the same, and makes the comparison possible.

    Attributes:
        run_id: The run.
        metrics_dir: Its folder, which the constructor creates.
    """

    def __init__(self, run_id: str, results_dir: str = "astraguard/hil/results") -> None:
        self.run_id = run_id
        self.metrics_dir = Path(results_dir) / run_id
        self.metrics_dir.mkdir(parents=True, exist_ok=True)

    def save_latency_stats(self, collector: LatencyCollector) -> dict[str, str]:
        """Write the summary, then the measurements; not synced, in place."""
        if not collector.measurements:
            raise ValueError("No measurements to export")
        summary_path = self.metrics_dir / SUMMARY_NAME
        csv_path = self.metrics_dir / CSV_NAME
        write_summary(summary_path, summary_document(self.run_id, collector))
        collector.export_csv(str(csv_path))
        return {"summary": str(summary_path), "raw": str(csv_path)}

    def get_run_metrics(self) -> dict[str, Any] | None:
        """Return the summary as its file has it now, or None."""
        summary_path = self.metrics_dir / SUMMARY_NAME
        if not summary_path.exists():
            return None
        try:
            with summary_path.open(encoding="utf-8") as stream:
                return cast("dict[str, Any]", json.load(stream))
        except (OSError, ValueError):
            return None

    def compare_runs(self, other_run_id: str) -> dict[str, Any]:
        """Return this run's means and p95s beside the other's."""
        other = SequentialStorage(other_run_id, str(self.metrics_dir.parent))
        return compare_summaries(
            self.run_id, self.get_run_metrics(), other_run_id, other.get_run_metrics()
        )

    @staticmethod
    def get_recent_runs(results_dir: str = "astraguard/hil/results", limit: int = 10) -> list[str]:
        """Return run ids by folder name, last first: sort all, then look."""
        root = Path(results_dir)
        if not root.exists():
            return []
        runs: list[str] = []
        for folder in sorted(root.iterdir(), reverse=True):
            if folder.is_dir() and (folder / SUMMARY_NAME).exists():
                runs.append(folder.name)
                if len(runs) >= limit:
                    break
        return runs
