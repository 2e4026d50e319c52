"""Which schema this code works with; known without importing the tables."""

from __future__ import annotations

from typing import Final

from astraguard_store.exceptions import SchemaVersionError

HEAD_REVISION: Final = "0009"
"""The schema this code works with; a test holds it against the migrations."""

KNOWN_REVISIONS: Final = frozenset(f"{number:04}" for number in range(1, int(HEAD_REVISION) + 1))

VERSION_TABLE: Final = "astraguard_schema_version"


def schema_error(where: object, found: str | None, upgrade: str) -> SchemaVersionError:
    """Return the error of a database with another schema, or with none; it says what to do.

    Args:
        where: The database.
        found: Its revision.
        upgrade: What to run if it is older, or has none.
    """
    has = "holds no astraguard_store schema" if found is None else f"has schema {found}"
    if found is None or found in KNOWN_REVISIONS:
        message = f"{where} {has}, this version needs {HEAD_REVISION}; run{upgrade}"
    else:
        message = (
            f"{where} {has}, which is newer than this version of astraguard_store "
            f"knows (it needs {HEAD_REVISION}); run: pip install --upgrade astraguard-store"
        )
    return SchemaVersionError(message, found, HEAD_REVISION)
