"""What the run folders alone can tell: for the drop-in, where no database answers.

Front ends know `repository/` and neither of its wings; import-linter checks that.
"""

from astraguard_store.artifacts.reader import has_summary, read_document
from astraguard_store.artifacts.scanner import newest_runs
from astraguard_store.formats.layout import RAW_NAME, SUMMARY_NAME

__all__ = ["RAW_NAME", "SUMMARY_NAME", "has_summary", "newest_runs", "read_document"]
