"""What `--json` prints: the one place where results become JSON.

A script may rely on these shapes. Keys may be added, none is renamed or taken
away. Times are ISO 8601 in UTC with microseconds, durations milliseconds,
changes candidate - baseline; what isn't known, or is no finite number, is null.

HEADER      run_id, revision (0: not known, read from the run's folder),
            recorded_at, total_measurements
STATISTICS  count, mean_ms, p50_ms, p95_ms, p99_ms, min_ms, max_ms
ARTIFACT    kind, path (relative to results_dir), bytes, sha256, rows
CHANGE      metric_type, satellite_id (null: all), present_in ("both", "baseline",
            "candidate"), and a VALUE for each name in STATISTICS
VALUE       baseline, candidate, difference, relative_change (0.1 is 10 % more)

recent      results_dir, answers_from ("database", "folders"), runs: [HEADER]
show        results_dir, answers_from, HEADER, metrics: {metric type: STATISTICS},
            satellites: {satellite: {metric type: STATISTICS}}, artifacts: [ARTIFACT]
compare     results_dir, answers_from, baseline, candidate, by_satellite, changes: [CHANGE]
import      results_dir, database, adopted, skipped, refused: [{run_id, reason}]
db current  results_dir, database, found (null: no database, or none of ours), head, at_head
db upgrade  results_dir, database, before, after, head, backup (null: nothing to do)
db backup   results_dir, database, backup, bytes
check       results_dir, database, sound, runs, files, bytes, findings: [FINDING],
            mended: [FINDING]
FINDING     kind, severity ("fault", "note"), where, what, advice (in mended: what was done)
demo        results_dir, database, flights: [FLIGHT], recent: [HEADER],
            comparison: {baseline, candidate, by_satellite, changes: [CHANGE]}
FLIGHT      detector, satellites, simulated_s, elapsed_s, faults, recovered,
            false_alarms, run: as in show, from HEADER on
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from astraguard_store.model import (
    Artifact,
    CheckReport,
    Comparison,
    Finding,
    ImportReport,
    MetricChange,
    MetricSummary,
    RunHeader,
    RunSummary,
    ValueChange,
)

STATISTICS = ("count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms")

Shape = dict[str, object]


def print_json(shape: Shape) -> None:
    """Write one JSON document, in ASCII so that any terminal and any pipe takes it."""
    click.echo(json.dumps(shape, indent=2, allow_nan=False))


def header_shape(header: RunHeader) -> Shape:
    """Return HEADER."""
    return {
        "run_id": header.run_id,
        "revision": header.revision,
        "recorded_at": _iso(header.recorded_at),
        "total_measurements": header.total_measurements,
    }


def headers_shape(headers: Sequence[RunHeader]) -> list[Shape]:
    """Return [HEADER]."""
    return [header_shape(header) for header in headers]


def run_shape(run: RunSummary) -> Shape:
    """Return what `show` says of a run."""
    return {
        **header_shape(run.header),
        "metrics": _metrics_shape(run.metrics),
        "satellites": {name: _metrics_shape(metrics) for name, metrics in run.satellites.items()},
        "artifacts": [_artifact_shape(artifact) for artifact in run.artifacts],
    }


def comparison_shape(comparison: Comparison, *, by_satellite: bool) -> Shape:
    """Return what `compare` says of two runs."""
    return {
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "by_satellite": by_satellite,
        "changes": [_change_shape(change) for change in comparison.changes],
    }


def report_shape(report: ImportReport) -> Shape:
    """Return what `import` says of what it did."""
    return {
        "adopted": report.adopted,
        "skipped": report.skipped,
        "refused": [{"run_id": run_id, "reason": reason} for run_id, reason in report.refused],
    }


def check_shape(report: CheckReport) -> Shape:
    """Return what `check` says of a store."""
    return {
        "sound": report.is_sound,
        "runs": report.runs,
        "files": report.files,
        "bytes": report.bytes,
        "findings": [_finding_shape(finding) for finding in report.findings],
        "mended": [_finding_shape(finding) for finding in report.mended],
    }


def _finding_shape(finding: Finding) -> Shape:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "where": finding.where,
        "what": finding.what,
        "advice": finding.advice,
    }


def _metrics_shape(metrics: Mapping[str, MetricSummary]) -> Shape:
    return {
        metric_type: {name: _number(getattr(summary, name)) for name in STATISTICS}
        for metric_type, summary in metrics.items()
    }


def _artifact_shape(artifact: Artifact) -> Shape:
    return {
        "kind": artifact.kind,
        "path": artifact.path,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "rows": artifact.rows,
    }


def _change_shape(change: MetricChange) -> Shape:
    values = {name: _value_shape(getattr(change, name)) for name in STATISTICS}
    return {
        "metric_type": change.metric_type,
        "satellite_id": change.satellite_id,
        "present_in": present_in(change),
        **values,
    }


def present_in(change: MetricChange) -> str:
    """Return which side has measurements: ``both``, ``baseline`` or ``candidate``."""
    if change.baseline and change.candidate:
        return "both"
    return "baseline" if change.baseline else "candidate"


def _value_shape(value: ValueChange) -> Shape:
    return {
        "baseline": _number(value.baseline),
        "candidate": _number(value.candidate),
        "difference": _number(value.difference),
        "relative_change": _number(value.relative_change),
    }


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")
