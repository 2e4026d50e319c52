"""What statements are written with: SQLAlchemy Core, the dialect and the tables.

They take a third of a second to import, and the texts of statements are kept (see `sql.kept`),
so that most programs never write one. Until somebody does, each name stands for what it
names, as `lazy from … import …` of Python 3.15 has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = [
    "OF_ALL_SATELLITES",
    "ColumnElement",
    "Select",
    "Table",
    "and_",
    "artifacts",
    "attachments",
    "baseline_runs",
    "bindparam",
    "buckets",
    "case",
    "compiled",
    "day_of",
    "delete",
    "exists",
    "first",
    "func",
    "given_values",
    "insert_new",
    "insert_row",
    "literal_column",
    "machine_noise",
    "measurements",
    "metadata",
    "month_of",
    "null",
    "or_",
    "run_documents",
    "run_tags",
    "run_verdicts",
    "runs",
    "save_ids",
    "select",
    "statistics",
    "store",
    "tuple_",
    "union_all",
    "units",
    "unsearched",
    "update",
    "upsert",
    "week_of",
    "whole",
]

if TYPE_CHECKING:
    from sqlalchemy import (
        ColumnElement,
        Select,
        Table,
        and_,
        bindparam,
        case,
        delete,
        exists,
        func,
        literal_column,
        null,
        or_,
        select,
        tuple_,
        union_all,
        update,
    )

    from astraguard_store.database.dialect import (
        compiled,
        day_of,
        first,
        given_values,
        insert_new,
        insert_row,
        month_of,
        unsearched,
        upsert,
        week_of,
        whole,
    )
    from astraguard_store.database.schema import (
        OF_ALL_SATELLITES,
        artifacts,
        attachments,
        baseline_runs,
        buckets,
        machine_noise,
        measurements,
        metadata,
        run_documents,
        run_tags,
        run_verdicts,
        runs,
        save_ids,
        statistics,
        store,
        units,
    )
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

    globals().update({name: _Late(name) for name in __all__})
