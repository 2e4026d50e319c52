"""How a schema comes to be, is upgraded, and is refused."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from observing import dump
from recordings import recorded

from astraguard_store import DatabaseDamagedError, RunRepository, SchemaVersionError
from astraguard_store.database.revision import HEAD_REVISION
from astraguard_store.database.sqlite.engine import WRITES, connect, engine_of
from astraguard_store.provenance import PERCENTILE_DEFINITION, Provenance
from astraguard_store.store.schema_versions import described_schema, upgrade_schema

CHECKOUT = Path(__file__).parents[1]
STORED = Path(__file__).parent / "databases"
NAME = "astraguard.db"

Open = Callable[[Path], RunRepository]


def open_to_write(results: Path) -> RunRepository:
    return RunRepository.open(results)


def open_to_read(results: Path) -> RunRepository:
    return RunRepository.open(results, read_only=True)


EACH_STORED = pytest.mark.parametrize(
    "revision", sorted(path.stem for path in STORED.glob("*.sqlite"))
)
BOTH_WAYS = pytest.mark.parametrize("opened", [open_to_write, open_to_read])


def digests(folder: Path) -> dict[str, str]:
    """Give {path: SHA-256} of all files below *folder*; no database in it may be open."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def execute(database: Path, script: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript(script)


def dump_of_rows(database: Path) -> set[str]:
    """Give what is in it, but for documents: copies of rows, which an upgrade makes anew."""
    copied = 'INSERT INTO "run_documents"'
    return {line for line in dump(database) if not line.startswith(copied)}


def made(database: Path) -> list[str]:
    """Give what is in it but when it was made; SQLite keeps how a statement was laid out."""
    execute(database, "UPDATE store SET created_at_us = 0")
    return ["".join(line.split()) for line in dump(database)]


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def created(database: Path) -> dict[str, str]:
    """Give {name: SQL} of all tables, indexes and views."""
    return dict(rows(database, "SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL"))


def revision_in(database: Path) -> list[tuple[Any, ...]]:
    return rows(database, "SELECT version_num FROM astraguard_schema_version")


def run(*words: object, cwd: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run Python with *words* in the folder *cwd*."""
    environment = {k: v for k, v in os.environ.items() if k != "ASTRAGUARD_STORE_URL"}
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, words)],
        cwd=cwd,
        env=environment | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def alembic(*words: str, cwd: Path, **variables: object) -> None:
    """Run the command as from a shell, with the checkout's configuration."""
    config = CHECKOUT / "alembic.ini"
    done = run("-m", "alembic", "-c", config, *words, cwd=cwd, **variables)
    assert done.returncode == 0, done.stderr


class TestAlembicCommand:
    """`alembic` from a shell, in any folder."""

    def test_the_url_can_be_named(self, tmp_path: Path) -> None:
        database = tmp_path / "named" / NAME

        alembic("-x", f"url=sqlite:///{database}", "upgrade", "head", cwd=tmp_path)

        assert revision_in(database) == [(HEAD_REVISION,)]

    def test_the_url_can_come_from_the_environment(self, tmp_path: Path) -> None:
        database = tmp_path / NAME
        url = f"sqlite:///{database}"

        alembic("upgrade", "head", cwd=tmp_path, ASTRAGUARD_STORE_URL=url)

        assert revision_in(database) == [(HEAD_REVISION,)]

    def test_a_named_url_counts_more_than_the_environment(self, tmp_path: Path) -> None:
        named, other = tmp_path / "named.db", tmp_path / "other.db"
        words = ["-x", f"url=sqlite:///{named}", "upgrade", "head"]

        alembic(*words, cwd=tmp_path, ASTRAGUARD_STORE_URL=f"sqlite:///{other}")

        assert (named.exists(), other.exists()) == (True, False)

    def test_the_printed_sql_makes_the_database_that_a_migration_makes(
        self, tmp_path: Path
    ) -> None:
        printed, migrated = tmp_path / "printed.db", tmp_path / NAME
        named = ("-x", f"url=sqlite:///{migrated}", "upgrade", "head")
        config = CHECKOUT / "alembic.ini"

        done = run("-m", "alembic", "-c", config, *named, "--sql", cwd=tmp_path)

        assert done.returncode == 0, done.stderr
        assert not migrated.exists()
        execute(printed, done.stdout)
        alembic(*named, cwd=tmp_path)
        assert made(printed) == made(migrated)

    def test_sql_for_a_database_that_is_there_is_refused_with_the_command_for_it(
        self, tmp_path: Path
    ) -> None:
        config = CHECKOUT / "alembic.ini"

        done = run("-m", "alembic", "-c", config, "upgrade", "0001:head", "--sql", cwd=tmp_path)

        assert done.returncode != 0
        assert "astraguard-store db upgrade" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("upgrade", "base:head", "--sql"), "name where it ends alone"),
            (("-x", "url=postgresql://rig@server/runs", "upgrade", "head", "--sql"), "db upgrade"),
            (("-x", "url=nonsense", "current"), "Could not parse"),
            (("-x", "url=sqlite:///text", "current"), "not a database"),
            (("-x", "url=sqlite:///text/below.db", "upgrade", "head"), "File exists"),
            (("-x", "url=postgresql://rig:secret@127.0.0.1:1/runs", "current"), "refused"),
        ],
        ids=["range", "server's sql", "no url", "no database", "no folder", "no server"],
    )
    def test_what_it_cannot_do_is_said_without_a_traceback(
        self, words: tuple[str, ...], said: str, tmp_path: Path
    ) -> None:
        (tmp_path / "text").write_text("no database, but a text" * 100)

        done = run("-m", "alembic", "-c", CHECKOUT / "alembic.ini", *words, cwd=tmp_path)

        printed = done.stderr + done.stdout
        assert done.returncode != 0
        assert said in printed
        assert "Traceback" not in printed
        assert "secret" not in printed
        assert "CREATE TABLE" not in printed

    def test_the_default_is_the_store_of_the_default_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alembic("upgrade", "head", cwd=tmp_path)

        monkeypatch.chdir(tmp_path)
        with RunRepository.open(read_only=True) as repository:
            assert repository.recent() == []

    def test_down_and_up_again_gives_an_empty_store(self, store: Path) -> None:
        url = f"url=sqlite:///{store / NAME}"
        before = created(store / NAME)

        alembic("-x", url, "downgrade", "base", cwd=store)
        emptied = created(store / NAME)
        alembic("-x", url, "upgrade", "head", cwd=store)

        assert list(emptied) == ["astraguard_schema_version"]
        assert created(store / NAME) == before

    def test_a_store_emptied_by_it_adopts_its_folders_again(self, store: Path) -> None:
        url = f"url=sqlite:///{store / NAME}"
        alembic("-x", url, "downgrade", "base", cwd=store)
        alembic("-x", url, "upgrade", "head", cwd=store)

        with RunRepository.open(store) as repository:
            assert [header.run_id for header in repository.recent()] == ["run"]


class TestAlembicCheck:
    """Models and migrations, compared by Alembic."""

    @staticmethod
    def check(database: Path) -> None:
        config = Config(str(CHECKOUT / "alembic.ini"))
        with closing(connect(database, "rw")) as driver, engine_of(driver).connect() as connection:
            config.attributes["connection"] = connection.execution_options(**{WRITES: True})
            command.check(config)

    def test_it_finds_no_difference(self, store: Path) -> None:
        self.check(store / NAME)

    def test_it_would_find_one(self, store: Path) -> None:
        execute(store / NAME, "DROP INDEX ix_runs_recorded_at_us_run_id")

        with pytest.raises(CommandError, match="ix_runs_recorded_at_us_run_id"):
            self.check(store / NAME)


def stored(results: Path, revision: str) -> Path:
    """Lay the stored database of *revision* into the new folder *results*."""
    results.mkdir()
    shutil.copyfile(STORED / f"{revision}.sqlite", results / NAME)
    return results


def told_by(revision: str) -> Any:
    """Give what the stored database of *revision* answered to its own release."""
    return json.loads((STORED / f"{revision}.json").read_text(encoding="utf-8"))


def restricted(found: Any, to: Any) -> Any:
    """Give *found* without the keys that *to* doesn't have: those that later releases added."""
    if isinstance(to, dict):
        return {key: restricted(found[key], value) for key, value in to.items()}
    if isinstance(to, list) and len(found) == len(to):
        return [restricted(one, value) for one, value in zip(found, to, strict=True)]
    return found


class TestStoredDatabases:
    """Databases that earlier revisions wrote, kept in `databases/`."""

    @BOTH_WAYS
    @EACH_STORED
    def test_it_answers_as_it_did(self, results: Path, revision: str, opened: Open) -> None:
        upgrade_schema(stored(results, revision))
        answers = runpy.run_path(str(STORED / "make.py"))["answers"]

        with opened(results) as repository:
            told = json.loads(json.dumps(answers(repository)))

        assert restricted(told, told_by(revision)) == told_by(revision)

    def test_there_is_one_of_the_newest_revision(self) -> None:
        assert (STORED / f"{HEAD_REVISION}.sqlite").is_file()

    @EACH_STORED
    def test_a_run_in_it_can_be_saved_again(self, results: Path, revision: str) -> None:
        upgrade_schema(stored(results, revision))

        with RunRepository.open(results) as repository:
            saved = repository.save("first", recorded(3))

        assert saved.revision == 3

    @EACH_STORED
    def test_each_run_in_it_has_a_document_again(self, results: Path, revision: str) -> None:
        upgrade_schema(stored(results, revision))

        with sqlite3.connect(results / NAME) as connection:
            runs, current = connection.execute(
                "SELECT count(*), sum(substr(document, 1, 2) = x'9402') "
                "FROM runs LEFT JOIN run_documents USING (run_id)"
            ).fetchone()
        connection.close()

        assert current == runs > 0

    @EACH_STORED
    def test_its_schema_is_that_of_a_new_one(
        self, results: Path, store: Path, revision: str
    ) -> None:
        upgrade_schema(stored(results.with_name("old"), revision))

        upgraded = results.with_name("old") / NAME
        assert created(upgraded) == created(store / NAME)

    @EACH_STORED
    def test_it_explains_itself_as_a_new_one_does(
        self, results: Path, store: Path, revision: str
    ) -> None:
        upgrade_schema(stored(results.with_name("old"), revision))

        upgraded = described_schema(results.with_name("old"))
        assert upgraded == described_schema(store)

    @EACH_STORED
    def test_upgraded_and_downgraded_again_it_is_what_it_was(
        self, results: Path, revision: str
    ) -> None:
        database = stored(results, revision) / NAME
        before = dump_of_rows(database)
        upgrade_schema(results)

        alembic("-x", f"url=sqlite:///{database}", "downgrade", revision, cwd=results)

        assert dump_of_rows(database) == before

    @pytest.mark.parametrize("revision", ["0004"])
    def test_downgraded_and_upgraded_again_nothing_is_lost(
        self, results: Path, revision: str
    ) -> None:
        database = stored(results, HEAD_REVISION) / NAME
        before = set(dump(database))
        url = f"url=sqlite:///{database}"

        alembic("-x", url, "downgrade", revision, cwd=results)
        alembic("-x", url, "upgrade", "head", cwd=results)

        assert set(dump(database)) == before


class TestFirstToSecond:
    """Revision 0002: what runs of before it are, and what going back loses."""

    def test_what_a_run_of_before_was_is_not_known(self, results: Path) -> None:
        upgrade_schema(stored(results, "0001"))

        with RunRepository.open(results) as repository:
            runs = [repository.get(header.run_id) for header in repository.recent()]

        assert {run.provenance for run in runs} == {
            Provenance(percentile_definition=PERCENTILE_DEFINITION)
        }
        assert [dict(run.tags) for run in runs] == [{}, {}, {}]

    def test_no_event_of_before_was_missed(self, results: Path) -> None:
        upgrade_schema(stored(results, "0001"))

        with RunRepository.open(results) as repository:
            answer = repository.query("SELECT DISTINCT missed, p95_above_ms FROM v_latency")

        assert answer.rows == [(0, None)]

    def test_runs_of_before_and_after_are_comparable(self, results: Path) -> None:
        upgrade_schema(stored(results, "0001"))

        with RunRepository.open(results) as repository:
            repository.save("new", recorded(10))
            comparison = repository.compare("first", "new")

        assert comparison.warnings == ()

    def test_downgraded_it_is_what_it_was(self, results: Path) -> None:
        database = stored(results, "0001") / NAME
        before = set(dump(database))
        upgrade_schema(results)

        alembic("-x", f"url=sqlite:///{database}", "downgrade", "0001", cwd=results)

        assert set(dump(database)) == before

    def test_down_and_up_again_loses_only_what_is_new(self, results: Path) -> None:
        url = f"url=sqlite:///{stored(results, '0002') / NAME}"

        alembic("-x", url, "downgrade", "0001", cwd=results)
        alembic("-x", url, "upgrade", "0002", cwd=results)

        assert created(results / NAME) == created(STORED / "0002.sqlite")
        kept = "SELECT run_id, revision, recorded_at_us, total_measurements FROM runs"
        assert rows(results / NAME, kept) == rows(STORED / "0002.sqlite", kept)
        assert rows(results / NAME, "SELECT count(*) FROM run_tags") == [(0,)]
        unknown = "SELECT DISTINCT scenario, percentile_definition FROM runs"
        assert rows(results / NAME, unknown) == [(None, PERCENTILE_DEFINITION)]


class TestRefusedDatabases:
    """What isn't this revision's is refused with what to do, and left as it is."""

    @BOTH_WAYS
    def test_a_newer_one(self, store: Path, opened: Open) -> None:
        execute(store / NAME, "UPDATE astraguard_schema_version SET version_num = '0999'")
        before = digests(store)

        with pytest.raises(
            SchemaVersionError, match=r"has schema 0999.*pip install --upgrade"
        ) as e:
            opened(store)

        assert (e.value.found, e.value.needed) == ("0999", HEAD_REVISION)
        assert digests(store) == before

    @BOTH_WAYS
    def test_one_whose_version_is_gone(self, store: Path, opened: Open) -> None:
        execute(store / NAME, "DELETE FROM astraguard_schema_version")
        before = digests(store)

        with pytest.raises(SchemaVersionError, match="alembic upgrade head") as caught:
            opened(store)

        assert caught.value.found is None
        assert digests(store) == before

    @BOTH_WAYS
    def test_one_of_another_program(self, results: Path, opened: Open) -> None:
        results.mkdir()
        execute(results / NAME, "CREATE TABLE songs (title); INSERT INTO songs VALUES ('x')")
        before = digests(results)

        with pytest.raises(SchemaVersionError, match="use another results folder"):
            opened(results)

        assert digests(results) == before

    @BOTH_WAYS
    def test_one_that_another_program_migrates_with_alembic_too(
        self, results: Path, opened: Open
    ) -> None:
        results.mkdir()
        script = "CREATE TABLE alembic_version (version_num); "
        execute(results / NAME, script + "INSERT INTO alembic_version VALUES ('0001')")
        before = digests(results)

        with pytest.raises(SchemaVersionError, match="use another results folder"):
            opened(results)

        assert digests(results) == before

    @BOTH_WAYS
    def test_an_empty_file(self, results: Path, opened: Open) -> None:
        results.mkdir()
        (results / NAME).touch()

        with pytest.raises(DatabaseDamagedError, match=r"the file is empty.*Move it"):
            opened(results)

        assert digests(results) == {NAME: hashlib.sha256(b"").hexdigest()}

    @BOTH_WAYS
    def test_a_file_that_is_no_database(self, results: Path, opened: Open) -> None:
        results.mkdir()
        (results / NAME).write_bytes(b"not SQLite, but of some length\n" * 400)
        before = digests(results)

        with pytest.raises(DatabaseDamagedError, match=r"is damaged.*Move it"):
            opened(results)

        assert digests(results) == before


def test_threads_make_their_first_stores_in_memory_at_the_same_time(tmp_path: Path) -> None:
    # In a process of its own: there each thread runs the migrations.
    code = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from astraguard_store import RunRepository

together = Barrier(4)

def first(number):
    together.wait(30)
    with RunRepository.in_memory() as repository:
        return repository.check().is_sound

with ThreadPoolExecutor(4) as threads:
    print(*threads.map(first, range(4)))
"""

    done = run("-c", code, cwd=tmp_path)

    assert (done.stdout, done.stderr) == ("True True True True\n", "")


def test_upgrading_a_current_store_changes_nothing(store: Path) -> None:
    before = digests(store)

    status = upgrade_schema(store)

    after = digests(store)
    # Only the note in the lock file, of who held it last.
    assert {path for path in after if after[path] != before.get(path)} <= {f"{NAME}.lock"}
    assert (status.found, status.backup_path) == (HEAD_REVISION, None)


NEXT_REVISION = f"{int(HEAD_REVISION) + 1:04}"
NEXT_MIGRATION = f'''
"""Room for a note.

Revision: {NEXT_REVISION}
"""

import os

import sqlalchemy as sa
from alembic import op

revision = "{NEXT_REVISION}"
down_revision = "{HEAD_REVISION}"


def upgrade():
    op.add_column("runs", sa.Column("note", sa.Text()))
    op.execute("UPDATE runs SET total_measurements = total_measurements + 1")
    if os.environ.get("FAIL"):
        raise RuntimeError("half way")
'''


class TestNextRelease:
    """A release with one more migration, installed: the scripts inside the package."""

    @pytest.fixture(scope="class")
    @staticmethod
    def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Give the folder that holds the package, with a name that needs quoting."""
        folder = tmp_path_factory.mktemp("site") / "next release 100%"
        package = folder / "astraguard_store"
        no_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / "astraguard_store", package, ignore=no_caches)
        shutil.copytree(CHECKOUT / "migrations", package / "migrations", ignore=no_caches)
        (package / f"migrations/versions/{NEXT_REVISION}_notes.py").write_text(NEXT_MIGRATION)
        head, newest = f'"{HEAD_REVISION}"', f'"{NEXT_REVISION}"'
        replace(package / "database/revision.py", f"Final = {head}", f"Final = {newest}")
        return folder

    @staticmethod
    def command(
        release: Path, *words: object, **variables: object
    ) -> subprocess.CompletedProcess[str]:
        module = ("-m", "astraguard_store")
        return run(*module, *words, cwd=release, PYTHONPATH=release, **variables)

    def upgrade(
        self, release: Path, store: Path, **variables: object
    ) -> subprocess.CompletedProcess[str]:
        return self.command(release, "db", "upgrade", "--results", store, **variables)

    def test_scripts_in_the_package_make_a_new_store(self, release: Path, results: Path) -> None:
        code = f"from astraguard_store import RunRepository; RunRepository.open({str(results)!r})"

        done = run("-c", code, cwd=release, PYTHONPATH=release)

        assert done.returncode == 0, done.stderr
        assert revision_in(results / NAME) == [(NEXT_REVISION,)]

    @pytest.mark.parametrize("read_only", [True, False])
    def test_an_older_store_is_refused_with_the_command_and_left_alone(
        self, release: Path, store: Path, read_only: bool
    ) -> None:
        before = digests(store)
        code = (
            "from astraguard_store import RunRepository\n"
            f"RunRepository.open({str(store)!r}, read_only={read_only})"
        )

        done = run("-c", code, cwd=release, PYTHONPATH=release)

        message = done.stderr.strip().splitlines()[-1]
        assert "SchemaVersionError" in message
        assert message.endswith(f"run: astraguard-store db upgrade --results {store}")
        assert digests(store) == before

    def test_the_command_upgrades_and_keeps_a_copy_of_before(
        self, release: Path, store: Path
    ) -> None:
        before = dump(store / NAME)

        done = self.upgrade(release, store)

        assert done.returncode == 0, done.stderr
        assert revision_in(store / NAME) == [(NEXT_REVISION,)]
        (copy,) = store.glob(f"{NAME}-before-*")
        assert dump(copy) == before

    def test_this_release_refuses_the_upgraded_store(self, release: Path, store: Path) -> None:
        self.upgrade(release, store)

        with pytest.raises(SchemaVersionError, match="which is newer"):
            RunRepository.open(store)

    def test_a_migration_that_fails_half_way_leaves_the_old_schema(
        self, release: Path, store: Path
    ) -> None:
        before = dump(store / NAME)

        done = self.upgrade(release, store, FAIL=1)

        assert done.returncode != 0
        assert dump(store / NAME) == before

    def test_an_upgrade_that_failed_can_be_run_again(self, release: Path, store: Path) -> None:
        self.upgrade(release, store, FAIL=1)

        done = self.upgrade(release, store)

        assert done.returncode == 0, done.stderr
        assert revision_in(store / NAME) == [(NEXT_REVISION,)]


def replace(path: Path, old: str, new: str) -> Any:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")
