"""Tables that only a server has: whose the runs are, and where their raw data lies."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, Text

from astraguard_store.database.dialect import BYTE_ORDERED_TEXT, INTEGER_64
from astraguard_store.database.schema import metadata, runs

server_metadata: Final = MetaData(naming_convention=metadata.naming_convention)
"""Beside the tables that SQLite has too."""


def _run_key() -> Column[str]:
    runs_key = ForeignKey(runs.c.run_id, ondelete="CASCADE")
    return Column("run_id", BYTE_ORDERED_TEXT, runs_key, primary_key=True)


# The stores that have pushed runs.
origins = Table(
    "origins",
    server_metadata,
    Column("store_id", Text, primary_key=True),
    # The results folder on the host, for who looks for a run's files. NULL in memory.
    Column("results_dir", Text),
    Column("host", Text),
    Column("first_pushed_at_us", INTEGER_64, nullable=False),
    Column("last_pushed_at_us", INTEGER_64, nullable=False),
)

# Whose a run is: nobody else's run of that name replaces it.
run_origins = Table(
    "run_origins",
    server_metadata,
    _run_key(),
    Column("store_id", Text, ForeignKey("origins.store_id"), nullable=False, index=True),
    Column("pushed_at_us", INTEGER_64, nullable=False),
    # As the origin had them, a JSON object: what has changed there since is what is pushed,
    # and tags that were set here stay.
    Column("tags", Text, nullable=False),
)

# The catalogue of raw measurements: a file of another save is not this run's.
raw_files = Table(
    "raw_files",
    server_metadata,
    _run_key(),
    Column("revision", Integer, nullable=False),
    Column("location", Text, nullable=False),
    Column("bytes", INTEGER_64, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("rows", INTEGER_64, nullable=False),
)
