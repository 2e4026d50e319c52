"""Whether two stores have the same save of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from astraguard_store.database.runs import StoredRun
from astraguard_store.formats.summary import render_document, summary_document
from astraguard_store.model import Artifact, MetricSummary, RunSummary
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
    if not same_numbers(here.summary, there.summary):
        return "it has other statistics here"
    return _why_other_files(here, there)


def rendered_summary(run: StoredRun) -> bytes:
    """Return a summary file made from a run's rows; as saved, unless the run was adopted."""
    return render_document(summary_document(run.summary, run.utc_offset_s or 0))


def _token_of_save(run: StoredRun) -> str | None:
    # An adopted run that was merged has the token of its files' publication.
    return None if run.utc_offset_s is None else run.staging_token


def _times(here: StoredRun, there: StoredRun) -> str:
    times = (f"{run.summary.recorded_at:%Y-%m-%d %H:%M:%S.%f}" for run in (here, there))
    return "recorded at {} UTC here, at {} UTC there".format(*times)


def same_numbers(here: RunSummary, there: RunSummary | RunStatistics) -> bool:
    """Return whether both have the same statistics, of the run and of each satellite."""
    if here.total_measurements != there.total_measurements or here.metrics != there.metrics:
        return False
    return here.satellites.keys() == there.satellites.keys() and all(
        _same_metrics(metrics, there.satellites[name]) for name, metrics in here.satellites.items()
    )


def _same_metrics(here: Mapping[str, MetricSummary], there: Mapping[str, MetricSummary]) -> bool:
    # What only the CSV of an adopted run tells, one side may have learned.
    return here.keys() == there.keys() and all(
        a == b or None in (a, b)
        for name in here
        for a, b in zip(here[name], there[name], strict=True)
    )


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
