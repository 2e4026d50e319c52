"""The JSON of every command: each shape, and what its keys mean.

A script may rely on these shapes. Keys may be added, none is renamed or taken
away. Times are ISO 8601 in UTC with microseconds, durations milliseconds,
changes candidate - baseline; what isn't known, or is no finite number, is null.

HEADER      run_id, revision (0: not known, read from the run's folder),
            recorded_at, total_measurements, state ("running", "finished", "failed",
            "interrupted"), last_written_at (null: it was saved at once)
STATISTICS  count, mean_ms, p50_ms, p95_ms, p99_ms, min_ms, max_ms, missed, and
            p50_above_ms, p95_above_ms, p99_above_ms: where a percentile falls among
            the missed events it is null, and this is its lower bound; else null
PROVENANCE  scenario, seed, software_version, git_commit, git_branch, git_dirty, host,
            platform, python, rig, firmware, started_at, finished_at,
            percentile_definition, units: {satellite: UNIT}
UNIT        serial, hardware, firmware
NOISE       processors, and load, steal (0 to 1), pressure (0 to 1) and frequency_mhz, each
            with _start, _end and _worst behind it
ATTACHMENT  name (below attachments in the run's folder), bytes, sha256
ARTIFACT    kind, path (relative to results_dir), bytes, sha256, rows
CHANGE      metric_type, satellite_id (null: all), present_in ("both", "baseline",
            "candidate"), and a VALUE for each name from count to missed
VALUE       baseline, candidate, difference, relative_change (0.1 is 10 % more),
            baseline_above, candidate_above (as p50_above_ms), difference_at_least,
            relative_change_at_least (the same number, or, where that is null because the
            candidate's is only known to be above, its lower bound)
DIFFERENCE  name (as in PROVENANCE), baseline, candidate, forbids_comparison

HISTORY_POINT  run_id, recorded_at, group (null: not known, or not taken apart), git_commit,
            summary: STATISTICS

recent      results_dir, answers_from ("database", "folders"), runs: [HEADER],
            next (run id for --before, to get the next page; null: there is none)
show        results_dir, answers_from, HEADER, metrics: {metric type: STATISTICS},
            satellites: {satellite: {metric type: STATISTICS}}, artifacts: [ARTIFACT],
            provenance: PROVENANCE, tags: {name: value}, error (null: none), save_id,
            attachments: [ATTACHMENT], noise: NOISE (null: it was saved at once),
            intervals: {metric type: {"p50", "p95", "p99": INTERVAL}} (empty: read from
            the run's folder)
INTERVAL    effective_events (independent ones), is_enough (of them for this percentile),
            low_ms, high_ms (with 95 %; null: so few events give none, among the missed,
            or no buckets)
gate        results_dir, answers_from, verdict ("regressed", "improved", "equivalent",
            "inconclusive"), baseline_name (null: runs were named), baseline: [run id],
            candidates: [run id], by_satellite, alpha, cells: [CELL] (the worst first),
            not_judged: [{metric_type, satellite_id, statistic, reason}], noise_source
            ("measured", "history", "assumed"), history (older runs in the noise),
            interleaved, reference_change (0.1: the reference was 10 % slower for the
            candidate; null: none was used), slow_events: [{metric_type, above_ms, baseline,
            baseline_events, candidate, candidate_events}], provenance_changes: [{name,
            baseline, candidate}], warnings: [sentence], settling (of the whole, as of a
            CELL), rests_on_assumed_noise, exit_code
CELL        metric_type, satellite_id (null: all), statistic ("p50", "p95", "p99", "missed",
            "deadline"), verdict, baseline, candidate (ms; of missed and deadline shares),
            change (0.1 is 10 % slower; of missed a difference of shares), low, high (of
            change; null: unbounded), limit (from which change on it counts),
            excludes_regression, noise (between runs), noise_source, df, reference_slope,
            settling: {candidate_runs, runs_of_both, with_reference} (null: settled,
            or not known)
gate calibrate results_dir, answers_from, baseline: [run id], candidate_runs, tries,
            false_alarms, false_improvements, false_alarm_bound, detectable, noise_source,
            cells: [{metric_type, satellite_id, statistic, noise, detectable,
            detectable_with_reference, false_alarms}], warnings: [sentence]
baseline set, baseline show  results_dir, answers_from, name, run_ids: [run id], set_at
baseline list  results_dir, answers_from, baselines: [{name, run_ids, set_at}]
baseline delete  results_dir, answers_from, deleted (its name)
changes     results_dir, answers_from, metric_type, statistic, changes: [{run_id,
            started_at, before_ms, after_ms, change, runs_before, runs_after, p_value}]
compare     results_dir, answers_from, baseline, candidate, by_satellite, changes: [CHANGE],
            provenance_changes: [DIFFERENCE], warnings: [sentence], and, with baseline_ or
            candidate_ in front, state and, of the machine's worst, steal, pressure (0 to 1) and
            load (for each processor); where BASELINE is a baseline or several runs,
            verdict: as gate from verdict to rests_on_assumed_noise (null: none)
history     results_dir, answers_from, metric_type, by (null: one trend), statistic,
            points: [HISTORY_POINT], changes: [{run_id, group, before_ms, after_ms, change}]
            (first runs after a change), news: {run id: what is new in it, such as "firmware 4.2"},
            unfinished: [run id] (left out), baseline (null: none was asked for): {name,
            run_ids (of its runs, those that measured this), bands: [{group, low_ms,
            high_ms}] (the lowest and the highest of them)}
percentiles results_dir, answers_from, PERCENTILES; with --by instead groups:
            [{group: {name of --by: value (null: not known)}, PERCENTILES}]
PERCENTILES metric_type, satellite_id (null: all), count, missed, runs,
            values: [{quantile, value_ms, above_ms}], runs_without_buckets: [run id],
            unfinished: [run id] (left out for being failed or interrupted)
tag         results_dir, answers_from, run_id, tags: {name: value}
delete      results_dir, database, deleted: [run id]
prune       results_dir, database, dry_run, deleted: [run id], purged: [run id] (only their
            measurements), pinned: [run id], unfinished: [run id] (they stay), file_bytes,
            database_bytes, freed_bytes, not_compacted (why; null: it was, or wasn't worth it)
import      results_dir, database, adopted, skipped, ignored (folders that are no runs),
            refused: [{run_id, reason}], rebuilt: [run id] (of the adopted: their summary
            was made anew from the CSV)
save        results_dir, answers_from, HEADER and the rest as in show
export      results_dir, answers_from, target, runs (how many), files (how many), bytes
merge       results_dir, database, other, merged: [run id], skipped: [run id] (here already),
            conflicts: [{run_id, reason}], refused: [{run_id, reason}],
            without_files: [run id] (of the merged)
db current  results_dir, database, found (null: no database, or none of ours), head, at_head
db describe results_dir, database, objects: [OBJECT]
OBJECT      name, kind ("view", "table"), description, columns: [{name, unit (null: none),
            description}] (not with --brief)
db upgrade  results_dir, database, before, after, head, backup (null: nothing to do)
db backup   results_dir, database, backup, bytes
push        results_dir, database, server (its URL without the password), pushed: [run id],
            replaced: [run id] (an older save was there), tagged: [run id] (only tags had
            changed), known (how many were there already), conflicts: [{run_id, reason}],
            refused: [{run_id, reason}], raw: [run id] (with --raw: measurements were written)
check       results_dir, database, sound, runs, files, bytes, findings: [FINDING],
            mended: [FINDING]
FINDING     kind, severity ("fault", "note"), where, what, advice (in mended: what was done)
query       results_dir, database, columns: [name], rows: [[value in the order of columns]],
            truncated (there are more rows than --limit); a BLOB is text in hexadecimal digits
report      results_dir, answers_from, report (path of the file), bytes
demo        results_dir, database, flights: [FLIGHT] (the two that are compared),
            recent: [HEADER], comparison: as in compare, from baseline on, report
FLIGHT      detector, satellites, simulated_s, elapsed_s, faults, recovered, missed,
            false_alarms, run: as in show, from HEADER on
/json/, a page of `serve`  runs: [LISTED], next (as of recent), metric_type (null: no run
            measured anything)
LISTED      HEADER, scenario, tags: {name: value}, p95_ms, p95_above_ms (of metric_type; null:
            the run didn't measure it, or as in STATISTICS)
/json/running  runs: [LISTED], without the p95s
/json/run/RUN  HEADER and the rest as in show, distributions: {metric type: [CURVE]}, over_time:
            {metric type: [SLICE]} (empty: its measurements aren't kept)
CURVE       run_id, events, missed, points: [{duration_ms (within 1 %), share (of all events that
            took no longer)}]; a run of which neither buckets nor measurements are kept has none
SLICE       number (from 0; those without events are left out), start_s, end_s (of the
            scenario), missed, p50_ms, p50_above_ms, p95_ms, p95_above_ms (as in STATISTICS)
/json/compare  comparisons: [as in compare, from baseline on] (one a candidate), verdict (as in
            compare), distributions (as of a run), differences: {metric type: [{candidate,
            changes: [{quantile (0 to 1), change (0.1 is 10 % slower), low, high (of change, with
            95 %; null: an open end)}]}]} (changes empty: too few events; a candidate is left out
            where it or the baseline didn't measure it, or neither buckets nor measurements are
            kept)
/json/sql   as query, from columns on; without a statement views: [name]; of one that fails error
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from astraguard_store.model import AtLeast
from astraguard_store.noise import WORST_FIELDS
from astraguard_store.presentation.text import STATISTICS, side_present

# Each command shows a few of them: what a shape doesn't need at once it imports itself.
if TYPE_CHECKING:
    from astraguard_store.comparison import Comparison, MetricChange, ValueChange
    from astraguard_store.distributions import Distribution
    from astraguard_store.history import History
    from astraguard_store.model import RunSummary
    from astraguard_store.over_time import TimeSlice
    from astraguard_store.reports import ImportReport, MergeReport, PushReport
    from astraguard_store.verdict.values import GateReport

Shape = dict[str, Any]


def shape_of(value: Any) -> Shape:
    """Return the JSON of a value: its fields, if it has no shape of its own."""
    return _SHAPES.get(type(value).__name__, _fields_of)(value)


def _fields_of(value: Any) -> Shape:
    names = getattr(value, "_fields", None) or [field.name for field in fields(value)]
    return {name: plain(getattr(value, name)) for name in names}


def plain(value: Any) -> Any:
    """Return *value* as JSON has it; null where JSON has no number for it."""
    match value:
        case AtLeast():
            # A key of its own has the bound.
            return None
        case str() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return value.isoformat(timespec="microseconds")
        case bytes():
            return value.hex()
        case Path():
            return str(value)
    return _plain_items(value)


def _plain_items(value: Any) -> Any:
    """Return a list, a mapping, or a value with fields, as JSON has it."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [plain(item) for item in value]
    return shape_of(value)


def _run_shape(run: RunSummary) -> Shape:
    names = ("metrics", "satellites", "artifacts", "provenance", "tags", "error", "save_id")
    return shape_of(run.header) | {
        name: plain(getattr(run, name)) for name in (*names, "attachments", "noise")
    }


def comparison_shape(comparison: Comparison, *, by_satellite: bool | None = None) -> Shape:
    """Return what `compare` says of two runs; of which kind, where nothing was measured."""
    if by_satellite is None:
        by_satellite = any(change.satellite_id is not None for change in comparison.changes)
    return {
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "by_satellite": by_satellite,
        "changes": plain(comparison.changes),
        "provenance_changes": [
            {**shape_of(change), "forbids_comparison": change.forbids_comparison}
            for change in comparison.provenance_changes
        ],
        "warnings": list(comparison.warnings),
        "baseline_state": comparison.baseline_state,
        "candidate_state": comparison.candidate_state,
        **{
            f"{side}_{name}": getattr(comparison, f"{side}_{name}")
            for name in WORST_FIELDS
            for side in ("baseline", "candidate")
        },
    }


def _change_shape(change: MetricChange) -> Shape:
    return {
        "metric_type": change.metric_type,
        "satellite_id": change.satellite_id,
        "present_in": side_present(change),
        **{name: shape_of(getattr(change, name)) for name in STATISTICS},
    }


def _value_shape(value: ValueChange) -> Shape:
    # A bound has keys of its own.
    shape = {
        "baseline": value.baseline,
        "candidate": value.candidate,
        "difference": value.difference,
        "relative_change": value.relative_change,
        "baseline_above": _bound(value.baseline),
        "candidate_above": _bound(value.candidate),
        "difference_at_least": _at_least(value.difference),
        "relative_change_at_least": _at_least(value.relative_change),
    }
    return {key: plain(number) for key, number in shape.items()}


def _bound(value: float | AtLeast | None) -> float | None:
    return float(value) if isinstance(value, AtLeast) else None


def _at_least(value: float | AtLeast | None) -> float | None:
    """Return the number, or its lower bound: what a gate compares with its limit."""
    return None if value is None else float(value)


def _report_shape(report: ImportReport | MergeReport | PushReport) -> Shape:
    shape = _fields_of(report)
    for key in shape.keys() & {"refused", "conflicts"}:
        shape[key] = [{"run_id": run_id, "reason": reason} for run_id, reason in shape[key]]
    return shape


def history_shape(history: History, statistic: str = "p95") -> Shape:
    """Return what `history` says of a metric type."""
    from astraguard_store.history import steps_of

    changes = [
        {
            "run_id": point.run_id,
            "group": point.group,
            "before_ms": step.before_ms,
            "after_ms": step.after_ms,
            "change": step.change,
        }
        for point, step in steps_of(history, statistic).items()
    ]
    return {
        "metric_type": history.metric_type,
        "by": history.by,
        "statistic": statistic,
        "points": plain(history.points),
        "changes": changes,
        "news": dict(history.news),
        "unfinished": list(history.unfinished),
        "baseline": None if history.baseline_name is None else _bands_shape(history, statistic),
    }


def _bands_shape(history: History, statistic: str) -> Shape:
    return {
        "name": history.baseline_name,
        "run_ids": sorted({point.run_id for point in history.baseline_points}),
        "bands": [
            {"group": group, "low_ms": low, "high_ms": high}
            for group, (low, high) in history.bands(statistic).items()
        ],
    }


def _slice_shape(one: TimeSlice) -> Shape:
    names = ("number", "start_s", "end_s", "missed")
    numbers = {name: getattr(one, name) for name in names}
    return numbers | _number_shape("p50", one.p50) | _number_shape("p95", one.p95)


def _number_shape(name: str, value: float | AtLeast | None) -> Shape:
    return {f"{name}_ms": plain(value), f"{name}_above_ms": _bound(value)}


def listed_shape(runs: Iterable[RunSummary], metric_type: str | None = None) -> list[Shape]:
    """Return [LISTED]: what a page lists of runs, with a p95 if a metric type is given."""
    found = []
    for run in runs:
        shape = shape_of(run.header)
        shape |= {"scenario": run.provenance.scenario, "tags": dict(run.tags)}
        if metric_type is not None:
            summary = run.metrics.get(metric_type)
            shape |= _number_shape("p95", None if summary is None else summary.p95)
        found.append(shape)
    return found


def distributions_shape(found: Iterable[Distribution]) -> Shape:
    """Return {metric type: [CURVE]}."""
    return {
        distribution.metric_type: [
            {
                "run_id": run.run_id,
                "events": run.events,
                "missed": run.missed,
                "points": [
                    {"duration_ms": time, "share": share} for time, share in run.cumulative()
                ],
            }
            for run in distribution.runs
        ]
        for distribution in found
    }


def gate_shape(report: GateReport) -> Shape:
    """Return a verdict; an infinite end of an interval is null."""
    shape = _fields_of(report)
    shape["rests_on_assumed_noise"] = report.rests_on_assumed_noise
    for cell in shape["cells"]:
        if cell["low"] == -1.0:
            cell["low"] = None
    return shape


# By name: importing them all would cost each command more than what it shows.
_SHAPES: Final[Mapping[str, Callable[[Any], Shape]]] = {
    "Calibration": lambda found: {**_fields_of(found), "detectable": found.detectable},
    "CheckReport": lambda report: {**_fields_of(report), "sound": report.is_sound},
    "Comparison": comparison_shape,
    "GateReport": gate_shape,
    "History": history_shape,
    "ImportReport": _report_shape,
    "MergeReport": _report_shape,
    "MetricChange": _change_shape,
    "PruneReport": lambda report: {**_fields_of(report), "freed_bytes": report.freed_bytes},
    "PushReport": _report_shape,
    "RunSummary": _run_shape,
    "TimeSlice": _slice_shape,
    "ValueChange": _value_shape,
}
