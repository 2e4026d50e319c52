"""Which schema this code works with; known without importing the tables."""

from __future__ import annotations

from typing import Final

HEAD_REVISION: Final = "0009"
"""The schema this code works with; a test holds it against the migrations."""

VERSION_TABLE: Final = "astraguard_schema_version"
