"""Names of files and folders below a results folder."""

from __future__ import annotations

from typing import Final

from astraguard_store.model import ArtifactKind

__all__ = ["FILE_NAMES", "RAW_NAME", "STAGING_NAME", "SUMMARY_NAME"]

SUMMARY_NAME: Final = "latency_summary.json"
RAW_NAME: Final = "latency_raw.csv"
STAGING_NAME: Final = ".staging"

# In the order in which they are published: who sees the summary finds the rest.
FILE_NAMES: Final[dict[ArtifactKind, str]] = {"raw_csv": RAW_NAME, "summary_json": SUMMARY_NAME}
