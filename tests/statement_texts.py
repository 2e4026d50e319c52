"""The texts of statements, which the package keeps: `database/statements.sql`.

`python tests/statement_texts.py` writes them anew; a test compares them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from astraguard_store import database
from astraguard_store.database import sql

FILE = Path(sql.__file__).with_name("statements.sql")


def written_anew() -> str:
    """Give what the modules that know statements write."""
    for module in iter_modules(database.__path__, f"{database.__name__}."):
        if not module.ispkg:
            import_module(module.name)
    return sql.written_anew()


if __name__ == "__main__":
    FILE.write_text(written_anew(), encoding="utf-8")
