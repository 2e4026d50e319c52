"""What statements are written with: SQLAlchemy Core, the dialect and the tables.

They take a third of a second to import, and the texts of statements are kept (see `sql.kept`),
so that most programs never write one. Until somebody does, each name stands for what it
names, as `lazy from … import …` of Python 3.15 has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement as ColumnElement
    from sqlalchemy import Select as Select
    from sqlalchemy import Table as Table
    from sqlalchemy import and_ as and_
    from sqlalchemy import bindparam as bindparam
    from sqlalchemy import case as case
    from sqlalchemy import delete as delete
    from sqlalchemy import exists as exists
    from sqlalchemy import func as func
    from sqlalchemy import literal_column as literal_column
    from sqlalchemy import null as null
    from sqlalchemy import or_ as or_
    from sqlalchemy import select as select
    from sqlalchemy import tuple_ as tuple_
    from sqlalchemy import union_all as union_all
    from sqlalchemy import update as update

    from astraguard_store.database.dialect import compiled as compiled
    from astraguard_store.database.dialect import day_of as day_of
    from astraguard_store.database.dialect import first as first
    from astraguard_store.database.dialect import given_values as given_values
    from astraguard_store.database.dialect import insert_new as insert_new
    from astraguard_store.database.dialect import insert_row as insert_row
    from astraguard_store.database.dialect import month_of as month_of
    from astraguard_store.database.dialect import unsearched as unsearched
    from astraguard_store.database.dialect import upsert as upsert
    from astraguard_store.database.dialect import week_of as week_of
    from astraguard_store.database.dialect import whole as whole
    from astraguard_store.database.schema import OF_ALL_SATELLITES as OF_ALL_SATELLITES
    from astraguard_store.database.schema import artifacts as artifacts
    from astraguard_store.database.schema import attachments as attachments
    from astraguard_store.database.schema import baseline_runs as baseline_runs
    from astraguard_store.database.schema import buckets as buckets
    from astraguard_store.database.schema import machine_noise as machine_noise
    from astraguard_store.database.schema import measurements as measurements
    from astraguard_store.database.schema import metadata as metadata
    from astraguard_store.database.schema import run_documents as run_documents
    from astraguard_store.database.schema import run_tags as run_tags
    from astraguard_store.database.schema import run_verdicts as run_verdicts
    from astraguard_store.database.schema import runs as runs
    from astraguard_store.database.schema import save_ids as save_ids
    from astraguard_store.database.schema import statistics as statistics
    from astraguard_store.database.schema import store as store
    from astraguard_store.database.schema import units as units
else:

    class _Late:
        """Stands for a name of one of the three."""

        # SQLAlchemy asks for the element that an object is.
        is_clause_element = False

        def __init__(self, name: str) -> None:
            self._name = name

        @property
        def name(self) -> str:
            return self._name  # a table's, known without SQLAlchemy

        def __clause_element__(self) -> Any:
            import sqlalchemy

            from astraguard_store.database import dialect, schema

            for module in (schema, dialect, sqlalchemy):
                if hasattr(module, self._name):
                    return getattr(module, self._name)
            raise NameError(self._name)

        def __call__(self, *arguments: Any, **named: Any) -> Any:
            return self.__clause_element__()(*arguments, **named)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__clause_element__(), name)

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Late(name)
