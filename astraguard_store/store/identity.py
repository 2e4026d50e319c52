"""What a save of a run says, and whether another one says the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import isclose
from typing import Any

from astraguard_store.database.runs import StoredRun
from astraguard_store.formats.summary import (
    AdoptedSummary,
    local_timestamp,
    render_document,
    statistics_document,
    summary_document,
)
from astraguard_store.model import Artifact, MetricSummary, RunSummary, utc_from_epoch_us
from astraguard_store.statistics import RunStatistics


def why_another(here: StoredRun, there: StoredRun) -> str | None:
    """Return how the run there is another one than the run of that id here; None if it isn't.

    A save has a token that no other save has. Adopted runs have none, so their
    time, statistics and files are compared, as far as both sides know them.
    """
    tokens = (_token_of_save(here), _token_of_save(there))
    if None not in tokens:
        return None if tokens[0] == tokens[1] else f"another save of it: {_times(here, there)}"
    if here.summary.recorded_at != there.summary.recorded_at:
        return _times(here, there)
    if disagreement(there.summary, here.summary, "it"):
        return "it has other statistics here"
    return _why_other_files(here, there)


def document_of(
    run_id: str, statistics: RunStatistics, recorded_at_us: int, offset_s: int
) -> dict[str, Any]:
    """Return the content of a run's summary file, local time being *offset_s* ahead of UTC."""
    return {
        "run_id": run_id,
        "timestamp": local_timestamp(utc_from_epoch_us(recorded_at_us), offset_s),
        **statistics_document(
            statistics.total_measurements, statistics.metrics, statistics.satellites
        ),
    }


def rendered_summary(run: StoredRun) -> bytes:
    """Return a summary file made from a run's rows; as saved, unless the run was adopted."""
    return render_document(summary_document(run.summary, run.utc_offset_s or 0))


def _token_of_save(run: StoredRun) -> str | None:
    # An adopted run that was merged has the token of its files' publication.
    return None if run.utc_offset_s is None else run.staging_token


def _times(here: StoredRun, there: StoredRun) -> str:
    times = (f"{run.summary.recorded_at:%Y-%m-%d %H:%M:%S.%f}" for run in (here, there))
    return "recorded at {} UTC here, at {} UTC there".format(*times)


def _why_other_files(here: StoredRun, there: StoredRun) -> str | None:
    theirs = {file.kind: file for file in there.summary.artifacts}
    for file in here.summary.artifacts:
        other = theirs.get(file.kind)
        if other and not (_same_file(file, other) or _is_rendered(file, other, here, there)):
            return f"{file.path} has another content here"
    return None


def _same_file(here: Artifact, there: Artifact) -> bool:
    return here.bytes == there.bytes and (
        here.sha256 == there.sha256 or None in (here.sha256, there.sha256)
    )


def _is_rendered(file: Artifact, other: Artifact, here: StoredRun, there: StoredRun) -> bool:
    """Return whether one side's summary was written from the other's rows, by a merge."""
    if file.kind != "summary_json":
        return False
    made = {hashlib.sha256(rendered_summary(run)).hexdigest() for run in (here, there)}
    return file.sha256 in made or other.sha256 in made


def disagreement(
    told: RunStatistics | RunSummary | AdoptedSummary,
    summary: RunSummary | AdoptedSummary,
    source: str,
) -> str | None:
    """Return where what *source* told and the rows of a run differ; None if they don't."""
    if told.total_measurements != summary.total_measurements:
        return (
            f"{source} has {told.total_measurements} rows, "
            f"the summary speaks of {summary.total_measurements}"
        )
    if told.satellites.keys() != summary.satellites.keys():
        return f"{source} has other satellites than the summary"
    pairs: list[tuple[Mapping[str, MetricSummary], Mapping[str, MetricSummary], str]]
    pairs = [(told.metrics, summary.metrics, "")]
    pairs += [
        (metrics, summary.satellites[name], f" on {name!r}")
        for name, metrics in told.satellites.items()
    ]
    for told_metrics, of_rows, where in pairs:
        if told_metrics.keys() != of_rows.keys():
            return f"{source} has other metric types{where} than the summary"
        for metric_type, numbers in told_metrics.items():
            if not _agree(numbers, of_rows[metric_type]):
                return f"its {metric_type!r}{where} in {source} is not what the summary says"
    return None


def _agree(told: MetricSummary, of_rows: MetricSummary) -> bool:
    # Later Pythons sum floats in another way, so old means differ in the last bits.
    # p99 and minimum of an adopted run's satellites may be unknown to one side.
    may_lack = {"p99_ms", "min_ms"}
    return all(
        isclose(a, b, rel_tol=1e-9)
        if a is not None and b is not None
        else a is b or name in may_lack
        for name, a, b in zip(MetricSummary._fields, told, of_rows, strict=True)
    )
