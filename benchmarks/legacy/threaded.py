"""The second variant, announced as optimised: writer threads, a cached dict, a heap."""

from __future__ import annotations

import heapq
import json
import threading
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


class ThreadedStorage:
    """Keeps one run's two files, written by two threads, and its dict once read.

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
        self._cached: dict[str, Any] | None = None

    def save_latency_stats(self, collector: LatencyCollector) -> dict[str, str]:
        """Write summary and measurements side by side; not synced, in place."""
        if not collector.measurements:
            raise ValueError("No measurements to export")
        summary_path = self.metrics_dir / SUMMARY_NAME
        csv_path = self.metrics_dir / CSV_NAME
        document = summary_document(self.run_id, collector)
        writers = [
            threading.Thread(target=write_summary, args=(summary_path, document)),
            threading.Thread(target=collector.export_csv, args=(str(csv_path),)),
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        self._cached = None
        return {"summary": str(summary_path), "raw": str(csv_path)}

    def get_run_metrics(self, use_cache: bool = True) -> dict[str, Any] | None:
        """Return the summary, the cached dict itself where there is one, or None."""
        if use_cache and self._cached is not None:
            return self._cached
        summary_path = self.metrics_dir / SUMMARY_NAME
        if not summary_path.exists():
            return None
        try:
            with summary_path.open(encoding="utf-8") as stream:
                self._cached = cast("dict[str, Any]", json.load(stream))
        except (OSError, ValueError):
            return None
        return self._cached

    def compare_runs(self, other_run_id: str) -> dict[str, Any]:
        """Return this run's means and p95s beside the other's."""
        other = ThreadedStorage(other_run_id, str(self.metrics_dir.parent))
        return compare_summaries(
            self.run_id, self.get_run_metrics(), other_run_id, other.get_run_metrics()
        )

    @staticmethod
    def get_recent_runs(results_dir: str = "astraguard/hil/results", limit: int = 10) -> list[str]:
        """Return run ids by modification time, newest first: three calls a folder, then a heap."""
        root = Path(results_dir)
        if not root.exists():
            return []
        candidates: list[tuple[float, str]] = []
        for folder in root.iterdir():
            if folder.is_dir():
                summary_path = folder / SUMMARY_NAME
                if summary_path.exists():
                    candidates.append((summary_path.stat().st_mtime, folder.name))
        return [name for _, name in heapq.nlargest(limit, candidates)]
