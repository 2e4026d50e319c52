"""How the schema comes to be on a server: one history, one migration at a time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
from command_line import run, run_json
from recordings import recorded

from astraguard_store import DatabaseError, RunRepository, SchemaVersionError
from astraguard_store.database.postgres.tables import server_metadata
from astraguard_store.database.schema import metadata
from astraguard_store.store.schema_versions import (
    described_schema,
    grant_roles,
    schema_head,
    schema_status,
    upgrade_schema,
)

PROJECT = Path(__file__).parent.parent
OURS = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.fixture
def empty(server: postgres.Server) -> Iterator[str]:
    """Name a database without any schema."""
    name = server.new_database()
    yield name
    server.drop_database(name)


def alembic(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alembic", *words],
        cwd=PROJECT,
        env=os.environ | {"ASTRAGUARD_STORE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


class TestUpgrade:
    """`db upgrade URL`, `db current URL` and `alembic upgrade head`."""

    def test_the_command_makes_the_schema_once(self, server: postgres.Server, empty: str) -> None:
        url = server.url(empty)

        assert run("db", "current", url).exit_code == 1
        assert "went from no schema to" in run("db", "upgrade", url).stdout
        assert "already" in run("db", "upgrade", url).stdout
        assert run_json("db", "current", url)["at_head"]

    def test_alembic_makes_the_same(self, server: postgres.Server, empty: str) -> None:
        url = server.url(empty)

        done = alembic(url, "upgrade", "head")

        assert done.returncode == 0, done.stderr
        with RunRepository.open(url) as repository:
            assert repository.save("run_1", recorded(3)).revision == 1

    def test_what_an_owner_migrates_the_others_may_use(
        self, server: postgres.Server, empty: str
    ) -> None:
        psycopg = pytest.importorskip("psycopg")
        assert alembic(server.url(empty), "upgrade", "0008").returncode == 0
        grant_roles(server.url(empty))
        roles = {"own_1": "owner", "own_2": "owner", "rig_1": "writer", "asks_1": "reader"}
        for login, role in roles.items():
            server.execute(empty, f"CREATE ROLE {login} LOGIN IN ROLE astraguard_{role}")
        try:
            upgrade_schema(server.url(empty, user="own_1"))

            with RunRepository.in_memory() as rig:
                rig.save("run_1", recorded(3), save_id="take 1")
                report = rig.push(server.url(empty, user="rig_1"))
            with RunRepository.open(server.url(empty, user="asks_1"), read_only=True) as asked:
                named = asked.query("SELECT save_id FROM v_save_ids").rows
            with psycopg.connect(server.url(empty, user="own_2")) as another:
                another.execute("ALTER TABLE runs ADD COLUMN later text")
                another.execute("ALTER TABLE save_ids ADD COLUMN later text")
            assert (report.pushed, named) == (("run_1",), [("take 1",)])
        finally:
            for login in roles:
                server.execute(empty, f"DROP ROLE {login}")

    def test_down_and_up_again_gives_an_empty_store(
        self, server: postgres.Server, empty: str
    ) -> None:
        url = server.url(empty)
        upgrade_schema(url)

        assert alembic(url, "downgrade", "base").returncode == 0
        assert server.execute(empty, OURS) == [(1,)]  # that of the version, which is empty
        assert alembic(url, "upgrade", "head").returncode == 0

        with RunRepository.open(url) as repository:
            assert repository.recent() == []

    def test_of_many_at_once_one_makes_it(self, server: postgres.Server, empty: str) -> None:
        failures: list[BaseException] = []

        def upgrade() -> None:
            try:
                upgrade_schema(server.url(empty))
            except BaseException as error:  # noqa: BLE001 - raised below
                failures.append(error)

        threads = [threading.Thread(target=upgrade) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert schema_status(server.url(empty)).found == schema_head()

    def test_one_that_fails_leaves_nothing(self, server: postgres.Server, empty: str) -> None:
        # The name of the last view that is made is taken.
        server.execute(empty, "CREATE TABLE v_artifacts (x int)")

        with pytest.raises(DatabaseError, match="v_artifacts"):
            upgrade_schema(server.url(empty))

        assert server.execute(empty, OURS) == [(1,)]

    def test_one_that_is_cut_off_leaves_nothing(self, server: postgres.Server, empty: str) -> None:
        over = threading.Event()

        def cut() -> None:
            while not over.wait(0.02):
                server.execute(
                    "postgres",
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    f"WHERE datname = '{empty}' AND query LIKE '%CREATE%'",
                )

        thread = threading.Thread(target=cut)
        thread.start()
        try:
            with pytest.raises(DatabaseError):
                upgrade_schema(server.url(empty))
        finally:
            over.set()
            thread.join()

        assert server.execute(empty, OURS) == [(0,)]
        upgrade_schema(server.url(empty))
        assert schema_status(server.url(empty)).found == schema_head()

    @pytest.mark.parametrize(
        ("found", "advice"), [("0004", "db upgrade"), ("9999", "pip install")]
    )
    def test_another_revision_is_refused_with_what_to_run(
        self, server: postgres.Server, server_database: str, found: str, advice: str
    ) -> None:
        server.execute(
            server_database, f"UPDATE astraguard_schema_version SET version_num = '{found}'"
        )

        with pytest.raises(SchemaVersionError, match=advice) as caught:
            RunRepository.open(server.url(server_database))

        assert (caught.value.found, caught.value.needed) == (found, schema_head())


class TestTables:
    """What is there then."""

    def test_all_is_described(self, server_url: str) -> None:
        described = {
            one.name: {column.name for column in one.columns}
            for one in described_schema(server_url)
        }

        tables = [*metadata.tables.values(), *server_metadata.tables.values()]
        for table in tables:
            assert described.get(table.name) == set(table.c.keys()), table.name
        assert {name for name in described if name.startswith("v_")} >= {"v_runs", "v_latency"}

    def test_a_server_has_the_views_of_sqlite(
        self, server: postgres.Server, server_database: str
    ) -> None:
        columns = "SELECT table_name, column_name FROM information_schema.columns"
        found = server.execute(server_database, f"{columns} WHERE table_name LIKE 'v\\_%%'")

        with RunRepository.in_memory() as here:
            names = here.query("SELECT name FROM sqlite_schema WHERE type = 'view'").rows
            of_views = {
                (name, column)
                for (name,) in names
                for column in here.query(f"SELECT * FROM {name}").columns
            }
        assert set(found) == of_views

    def test_numbers_and_texts_are_as_wide_as_in_sqlite(
        self, server: postgres.Server, server_database: str
    ) -> None:
        types = server.execute(
            server_database,
            "SELECT DISTINCT data_type FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name NOT LIKE 'v\\_%%'",
        )

        assert {kind for (kind,) in types} == {
            *("bigint", "integer", "double precision", "text", "bytea", "character varying"),
        }  # fmt: skip

    def test_run_ids_are_sorted_by_their_bytes(self, server_url: str) -> None:
        with RunRepository.open(server_url) as there:
            there.save_many([(name, recorded(2)) for name in ("b", "B", "a", "é", "Z")])

            ordered = there.query("SELECT run_id FROM runs ORDER BY run_id").rows
            found = there.grouped_percentiles(["run"], [0.5], metric_type="fault_detection")

        assert [name for (name,) in ordered] == ["B", "Z", "a", "b", "é"]
        assert list(found) == [("B",), ("Z",), ("a",), ("b",), ("é",)]

    def test_no_statement_of_a_server_prints_as_sqlites(self) -> None:
        texts = (PROJECT / "migrations" / "versions" / "0008_views.sql").read_text()

        assert not re.search(r"strftime|printf|json_each|json_extract", texts)
