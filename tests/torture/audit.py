"""Open a store after a fault, and find whatever isn't as it was promised."""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from astraguard_store import Artifact, MetricSummary, RunRepository, RunSummary, StoreError

from .ledger import Promise
from .report import Finding, Harm

DATABASE = "astraguard.db"
STAGING = ".staging"
RUN_FILES = {"latency_summary.json", "latency_raw.csv"}
PACKED_FILES = {"latency_summary.json.gz", "latency_raw.csv.gz", "latency_raw.parquet"}
EVERY_RUN = 1_000_000


def audit(results: Path, promised: Mapping[str, Promise]) -> list[Finding]:
    """Open the store in *results*, which recovers it, and compare it with *promised*.

    Nobody else may be using the store.
    """
    runs, findings = audit_database(results)
    if runs is None:
        return findings
    findings += unkept(runs, promised)
    for summary in runs.values():
        findings += (Finding(Harm.TORN, seen) for seen in torn(results, summary))
    findings += (Finding(Harm.LEFT_OVER, seen) for seen in left_over(results, set(runs)))
    return findings


def audit_rebuilt(results: Path, promised: Mapping[str, Promise]) -> list[Finding]:
    """Do as `audit` does to a store whose database was lost; only revisions may be lost with it.

    Nobody else may be using the store.
    """
    with RunRepository.open(results) as repository:
        # It hashes the CSVs of adopted runs.
        report = repository.check(fix=True)
    findings = [
        Finding(Harm.TORN, str(seen)) for seen in report.findings if seen.severity == "fault"
    ]
    runs, found = audit_database(results)
    findings += found
    for run_id, summary in (runs or {}).items():
        findings += (Finding(Harm.TORN, seen) for seen in torn(results, summary))
        if not _is_newest(promised.get(run_id, Promise()), summary):
            findings.append(Finding(Harm.LOST, f"{run_id} is {summary!r}, tags {tags(summary)}"))
    for run_id, promise in promised.items():
        if not promise.may_be_gone and run_id not in (runs or {}):
            findings.append(Finding(Harm.LOST, f"{run_id} is gone, {promise}"))
    findings += (Finding(Harm.LEFT_OVER, seen) for seen in left_over(results, set(runs or {})))
    return findings


def _is_newest(promise: Promise, summary: RunSummary) -> bool:
    newest = {promise.tags[max(promise.tags)]} if promise.tags else set()
    return tags(summary) <= newest | promise.open_tags


def audit_database(results: Path) -> tuple[dict[str, RunSummary] | None, list[Finding]]:
    """Open the store and read every run; None if it can't be, and what was found."""
    try:
        with RunRepository.open(results) as repository:
            headers = repository.recent(EVERY_RUN)
            runs = {header.run_id: repository.get(header.run_id) for header in headers}
    except StoreError as error:
        return None, [Finding(Harm.LOST, f"the store can't be opened and read: {error!r}")]
    return runs, list(_unsound(results / DATABASE))


def unkept(runs: Mapping[str, RunSummary], promised: Mapping[str, Promise]) -> Iterator[Finding]:
    """Find promised runs that aren't there, or another save of them, and runs of nobody."""
    for run_id, promise in promised.items():
        summary = runs.get(run_id)
        if summary is None:
            if not promise.may_be_gone:
                yield Finding(Harm.LOST, f"{run_id} is gone, {promise}")
        elif not is_kept(promise, summary):
            yield Finding(Harm.LOST, f"{run_id} is {summary!r}, tags {tags(summary)}, {promise}")
    for run_id in runs.keys() - promised.keys():
        yield Finding(Harm.LEFT_OVER, f"nobody saved {run_id}")


def is_kept(promise: Promise, summary: RunSummary) -> bool:
    """Tell whether *summary* is the last acknowledged save, or one under way after it."""
    found = tags(summary)
    if summary.revision in promise.tags:
        newest = max(promise.tags)
        return summary.revision == newest and found == {promise.tags[newest]}
    is_newer = not promise.tags or summary.revision > max(promise.tags)
    return is_newer and found <= promise.open_tags


def tags(summary: RunSummary) -> set[int]:
    """Collect the tags in the rows of a run; a whole run has one."""
    return {int(metric.max_ms) for metric in statistics_rows(summary)}


def statistics_rows(summary: RunSummary) -> list[MetricSummary]:
    """List the statistics of a run, over all satellites and of each."""
    by_satellite = [
        metric for metrics in summary.satellites.values() for metric in metrics.values()
    ]
    return [*summary.metrics.values(), *by_satellite]


def torn(results: Path, summary: RunSummary) -> Iterator[str]:
    """Say where the rows and files of one run disagree."""
    name = summary.run_id
    if len(tags(summary)) != 1:
        yield f"{name}: rows of several saves, tags {tags(summary)}"
    counts = sum(metric.count for metric in summary.metrics.values())
    by_satellite = sum(m.count for m in statistics_rows(summary)) - counts
    if not counts == by_satellite == summary.total_measurements:
        yield f"{name}: {summary.total_measurements} measurements, {counts}, {by_satellite}"
    noted = {Path(artifact.path).name for artifact in summary.artifacts}
    if noted not in (RUN_FILES, PACKED_FILES):
        yield f"{name}: artifacts {summary.artifacts}"
    for file in (RUN_FILES | PACKED_FILES) - noted:
        if (results / name / file).exists():
            yield f"{name}: {file} of another save beside {sorted(noted)}"
    for artifact in summary.artifacts:
        seen = _wrong(results / artifact.path, artifact, tags(summary))
        if seen:
            yield f"{artifact.path} {seen}"


def _wrong(file: Path, artifact: Artifact, of_rows: set[int]) -> str:
    """Say what is wrong with a file of a run, if anything is."""
    if not file.is_file():
        return "isn't there, but its row is"
    if hashlib.sha256(file.read_bytes()).hexdigest() != artifact.sha256:
        return "isn't the one that was committed"
    if artifact.bytes != file.stat().st_size:
        return f"has {file.stat().st_size} bytes, {artifact.bytes} noted"
    if file_tags(file) != of_rows:
        return f"has tags {file_tags(file)}, its rows {of_rows}"
    return ""


def file_tags(file: Path) -> set[int]:
    """Collect the tags in a file of a run."""
    if file.suffix == ".parquet":
        # Not above: the children are forked from a process that loads this module.
        import polars as pl

        return {int(pl.read_parquet(file)["duration_ms"].max())}  # type: ignore[arg-type]
    content = file.read_bytes()
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    if ".json" in file.suffixes:
        document = json.loads(content)
        metrics = [document["stats"], *document["stats_by_satellite"].values()]
        return {int(metric["max_ms"]) for by_type in metrics for metric in by_type.values()}
    lines = content.decode().splitlines()[1:]
    return {int(max(float(line.split(",")[3]) for line in lines))}


def left_over(results: Path, runs: set[str]) -> Iterator[str]:
    """Say what lies in the results folder and belongs to nobody."""
    staging = results / STAGING
    staged = sorted(path.name for path in staging.iterdir()) if staging.is_dir() else []
    if staged:
        yield f"{STAGING} holds {staged}"
    for path in results.iterdir():
        if path.name == STAGING or path.name.startswith(DATABASE):
            continue
        names = {file.name for file in path.iterdir()} if path.is_dir() else set()
        if path.name not in runs:
            yield f"{path.name} has no row, and holds {sorted(names)}"
        elif names - RUN_FILES - PACKED_FILES:
            yield f"{path.name} holds {sorted(names - RUN_FILES - PACKED_FILES)}"


def _unsound(database: Path) -> Iterator[Finding]:
    """Ask SQLite itself; the store is closed, so these connections are the only ones."""
    with closing(sqlite3.connect(database)) as connection:
        answer = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        if answer != ["ok"]:
            yield Finding(Harm.LOST, f"integrity_check: {answer[:3]}")
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        if orphans:
            yield Finding(Harm.TORN, f"foreign_key_check: {orphans[:3]}")
