"""A migration that breaks keys, or whose process is killed, is taken back as a whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from observing import dump
from recordings import recorded

from astraguard_store import DatabaseError, RunRepository
from astraguard_store.database.revision import HEAD_REVISION
from astraguard_store.database.sqlite.engine import WRITES, connect, engine_of

CHECKOUT = Path(__file__).parents[1]
NAME = "astraguard.db"

BREAKS_KEYS = f'''
"""Rename the runs, but not in what was measured in them."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{HEAD_REVISION}"


def upgrade():
    op.add_column("runs", sa.Column("note", sa.Text()))
    op.execute("UPDATE runs SET run_id = run_id || '-old'")
'''


IS_KILLED = f'''
"""Get half way."""

import os
import signal

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{HEAD_REVISION}"


def upgrade():
    op.add_column("runs", sa.Column("note", sa.Text()))
    op.execute("UPDATE runs SET total_measurements = total_measurements + 1")
    os.kill(os.getpid(), signal.SIGKILL)
'''

UPGRADE = """
    import sys
    from alembic import command
    from alembic.config import Config
    config = Config()
    config.set_main_option("script_location", sys.argv[1])
    command.upgrade(config, "head")
"""


def with_one_more(folder: Path, script: str) -> Path:
    """Copy the migrations to *folder* and add *script*."""
    shutil.copytree(CHECKOUT / "migrations", folder)
    (folder / "versions/9999_next.py").write_text(script)
    return folder


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Give the migrations with one more, which breaks keys."""
    return with_one_more(tmp_path / "migrations", BREAKS_KEYS)


@pytest.fixture
def database(results: Path) -> Path:
    """Give a closed database with one run."""
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(10))
    return results / NAME


def upgrade_as_the_store_does(scripts: Path, database: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    with closing(connect(database, "rw")) as driver, engine_of(driver).connect() as connection:
        driver.execute("PRAGMA foreign_keys=OFF")
        config.attributes["connection"] = connection.execution_options(**{WRITES: True})
        command.upgrade(config, "head")


def upgrade_by_url(scripts: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    monkeypatch.setenv("ASTRAGUARD_STORE_URL", f"sqlite:///{database}")
    command.upgrade(config, "head")


def test_the_store_keeps_its_old_schema_and_rows(scripts: Path, database: Path) -> None:
    before = dump(database)

    with pytest.raises(DatabaseError, match="rows would refer to runs that are gone"):
        upgrade_as_the_store_does(scripts, database)

    assert dump(database) == before


def test_alembic_keeps_them_too(
    scripts: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(database)

    with pytest.raises(CommandError, match="rows would refer to runs that are gone"):
        upgrade_by_url(scripts, database, monkeypatch)

    assert dump(database) == before


def test_one_that_is_killed_half_way_leaves_the_old_schema(tmp_path: Path, database: Path) -> None:
    scripts = with_one_more(tmp_path / "migrations", IS_KILLED)
    before = dump(database)

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(UPGRADE), scripts],
        env=os.environ | {"ASTRAGUARD_STORE_URL": f"sqlite:///{database}"},
        check=False,
    )

    assert done.returncode == -signal.SIGKILL
    assert dump(database) == before
    with RunRepository.open(database.parent) as repository:
        assert repository.save("run", recorded(1)).revision == 2
