"""What `--json` prints of what was done or asked; `shapes` documents all of it."""

from collections.abc import Sequence

from astraguard_store.cli.shapes import Shape, finite
from astraguard_store.reports import (
    CheckReport,
    ExportReport,
    Finding,
    ImportReport,
    MergeReport,
    PruneReport,
    QueryResult,
)
from astraguard_store.store.schema_versions import DescribedObject


def prune_shape(report: PruneReport) -> Shape:
    """Return what `prune` says of what it did, or would do."""
    return {
        "dry_run": report.dry_run,
        "deleted": list(report.deleted),
        "purged": list(report.purged),
        "pinned": list(report.pinned),
        "file_bytes": report.file_bytes,
        "database_bytes": report.database_bytes,
        "freed_bytes": report.freed_bytes,
        "not_compacted": report.not_compacted,
    }


def import_shape(report: ImportReport) -> Shape:
    """Return what `import` says of what it did."""
    return {
        "adopted": report.adopted,
        "skipped": report.skipped,
        "ignored": report.ignored,
        "refused": _reasons_shape(report.refused),
    }


def export_shape(report: ExportReport) -> Shape:
    """Return what `export` says of what it made."""
    return {
        "target": str(report.target),
        "runs": report.runs,
        "files": report.files,
        "bytes": report.bytes,
    }


def merge_shape(report: MergeReport) -> Shape:
    """Return what `merge` says of what it did."""
    return {
        "merged": list(report.merged),
        "skipped": list(report.skipped),
        "conflicts": _reasons_shape(report.conflicts),
        "refused": _reasons_shape(report.refused),
        "without_files": list(report.without_files),
    }


def _reasons_shape(pairs: Sequence[tuple[str, str]]) -> list[Shape]:
    return [{"run_id": run_id, "reason": reason} for run_id, reason in pairs]


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


def objects_shape(objects: Sequence[DescribedObject], *, brief: bool = False) -> list[Shape]:
    """Return [OBJECT]."""
    shapes = []
    for described in objects:
        shape = described._asdict()
        columns = shape.pop("columns")
        if not brief:
            shape["columns"] = [column._asdict() for column in columns]
        shapes.append(shape)
    return shapes


def query_shape(answer: QueryResult) -> Shape:
    """Return what `query` says; rows are lists, as two columns may have one name."""
    return {
        "columns": list(answer.columns),
        "rows": [[_sql_value(value) for value in row] for row in answer.rows],
        "truncated": answer.truncated,
    }


def _finding_shape(finding: Finding) -> Shape:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "where": finding.where,
        "what": finding.what,
        "advice": finding.advice,
    }


def _sql_value(value: str | bytes | float | None) -> str | float | None:
    if isinstance(value, bytes):
        return value.hex()
    return finite(value) if isinstance(value, float) else value
