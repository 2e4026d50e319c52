"""Somebody's own SQL on a server: what it may not do, tried."""

from __future__ import annotations

import time
from collections.abc import Iterator

import postgres
import pytest
from command_line import run
from recordings import recorded

from astraguard_store import DatabaseError, QueryError, RunRepository
from astraguard_store.database.postgres.user_sql import READER
from astraguard_store.store.schema_versions import grant_roles, grant_statements

SECRET = "SELECT rolname, rolpassword FROM pg_authid"
WRITES = [
    "DELETE FROM runs",
    "UPDATE runs SET revision = 7",
    "INSERT INTO schema_doc VALUES ('a', 'b', 'c', 'd', 'e')",
    "TRUNCATE runs CASCADE",
    "DROP TABLE runs CASCADE",
    "CREATE TABLE x (y int)",
    "CREATE TEMP TABLE x (y int)",
    "ALTER TABLE runs ADD COLUMN x int",
    "GRANT ALL ON runs TO PUBLIC",
    "WITH gone AS (DELETE FROM runs RETURNING 1) SELECT * FROM gone",
    "WITH x AS (INSERT INTO run_tags VALUES ('run_1', 'a', 'b') RETURNING 1) TABLE x",
    "EXPLAIN ANALYZE DELETE FROM runs",
    "SELECT * INTO x FROM runs",
    "SELECT * FROM runs FOR UPDATE",
    "SELECT * FROM runs FOR KEY SHARE",
    "VACUUM",
    "REINDEX TABLE runs",
    "CLUSTER",
    "REFRESH MATERIALIZED VIEW x",
    "COMMENT ON TABLE runs IS 'x'",
    "SECURITY LABEL ON TABLE runs IS 'x'",
    "SELECT nextval('x')",
    "SELECT setval('x', 1)",
    "DO $$ BEGIN DELETE FROM runs; END $$",
    "CALL x()",
    "MERGE INTO runs USING runs AS r ON true WHEN MATCHED THEN DELETE",
    "SELECT query_to_xml('DELETE FROM runs', true, true, '')",
    "SELECT \"query_to_xml\"('DELETE FROM runs', true, true, '')",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
]
FILES = [
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT pg_catalog.pg_read_file('/etc/passwd')",
    "SELECT \"pg_read_file\"('/etc/passwd')",
    "SELECT U&\"\\0070g_read_file\"('/etc/passwd')",
    "SELECT PG_READ_FILE('/etc/passwd')",
    "SELECT/**/pg_read_file/* x /* y */ */('/etc/passwd')",
    "SELECT * FROM pg_ls_dir('/')",
    "SELECT pg_stat_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/x')",
    "COPY runs TO '/tmp/x'",
    "COPY runs TO PROGRAM 'id'",
    "COPY runs FROM PROGRAM 'id'",
    "SELECT query_to_xml('SELECT pg_read_file(''/etc/passwd'')', true, true, '')",
    "SELECT * FROM pg_hba_file_rules()",
    "LOAD 'x'",
    "CREATE EXTENSION dblink",
    "SELECT dblink('host=x', 'SELECT 1')",
    "IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z",
]
ROLES = [
    "SET ROLE postgres",
    "RESET ROLE",
    "SET SESSION AUTHORIZATION postgres",
    "SELECT set_config('role', 'none', false)",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SET TRANSACTION READ WRITE",
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "SAVEPOINT x",
    "SELECT 1; DELETE FROM runs",
    "SELECT 1; COMMIT",
    "COMMIT; DELETE FROM runs",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "DISCARD ALL",
    "PREPARE x AS DELETE FROM runs",
    "EXECUTE x",
    "DECLARE x CURSOR WITH HOLD FOR SELECT 1",
    "LISTEN x",
    "NOTIFY x",
    "SELECT pg_notify('x', 'y')",
    SECRET,
    "SELECT * FROM pg_shadow",
]
LOCKS = [
    "LOCK TABLE runs",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_xact_lock(1)",
    "SELECT pg_sleep(60)",
    "SELECT pg_sleep_for('1 minute')",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "SELECT pg_export_snapshot()",
    "SELECT pg_create_restore_point('x')",
    "SELECT repeat('x', 1000000000)",
    "SELECT database_to_xml(true, true, '')",
]
NONE = ["", " ", "-- x", "/* x", "'", "SELECT 'x", 'SELECT "x', "\\d", "PRAGMA x", "SELECT $$x"]
LONG = [
    "SELECT count(*) FROM generate_series(1, 1000000000000)",
    "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT count(*) FROM x",
    "SELECT generate_series(1, 1000000000000)",
    "SELECT count(*) FROM v_changes a, v_changes b, v_changes c, v_changes d, v_changes e",
]


@pytest.fixture(scope="module")
def database(server: postgres.Server, server_template: str) -> Iterator[str]:
    """Give a server's database with three runs; no attack may change it."""
    name = server.new_database(server_template)
    with RunRepository.open(server.url(name)) as repository:
        for number in range(3):
            repository.save(f"run_{number}", recorded(5))
    yield name
    server.drop_database(name)


@pytest.fixture(scope="module", params=["owner", "reader's role"])
def asked(
    request: pytest.FixtureRequest, server: postgres.Server, database: str
) -> Iterator[RunRepository]:
    """Ask as who may do anything, without and with the role of a reader."""
    if request.param != "owner":
        grant_roles(server.url(database))
    with RunRepository.open(server.url(database)) as repository:
        yield repository


def everything(server: postgres.Server, database: str) -> list[object]:
    tables = ["runs", "statistics", "run_tags", "schema_doc"]
    return [server.execute(database, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


class TestAttacks:
    """What is refused, and changes nothing."""

    @pytest.mark.parametrize("sql", [*WRITES, *FILES, *ROLES, *LOCKS, *NONE])
    def test_it_is_refused(
        self, asked: RunRepository, server: postgres.Server, database: str, sql: str
    ) -> None:
        before = everything(server, database)

        with pytest.raises(QueryError):
            asked.query(sql, time_limit_s=5.0)

        assert everything(server, database) == before
        assert asked.query("SELECT count(*) FROM runs").rows == [(3,)]

    @pytest.mark.parametrize("sql", LONG)
    def test_it_is_stopped_after_its_time(self, asked: RunRepository, sql: str) -> None:
        began = time.monotonic()

        with pytest.raises(QueryError, match=r"time limit of 0\.5 s|512 MB"):
            asked.query(sql, time_limit_s=0.5)

        assert time.monotonic() - began < 30

    def test_nothing_stays_on_the_server(
        self, asked: RunRepository, server: postgres.Server, database: str
    ) -> None:
        asked.query("SELECT 1")
        with pytest.raises(QueryError):
            asked.query("SELECT 1 / 0")

        server.wait_for_idle(database)


class TestAllowed:
    """What readers need."""

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1",
            "  -- a comment\n SELECT 'DELETE FROM runs; COMMIT; pg_sleep' AS x",
            "WITH x AS (SELECT 1 AS y) SELECT y FROM x",
            "VALUES (1)",
            "TABLE schema_doc",
            "EXPLAIN SELECT * FROM v_runs",
            "SELECT E'it\\'s' || $$a;b$$ || $x$c$x$",
            "SELECT run_id::text, '::x' FROM v_runs",
            "SELECT max(p95_ms) FROM v_latency GROUP BY run_id HAVING count(*) > 1",
        ],
    )
    def test_it_is_answered(self, asked: RunRepository, sql: str) -> None:
        assert asked.query(sql).rows

    def test_an_answer_without_rows_has_its_columns(self, asked: RunRepository) -> None:
        result = asked.query("SELECT run_id, revision FROM v_runs WHERE run_id = ?", ("x",))

        assert (result.columns, result.rows) == (("run_id", "revision"), [])

    @pytest.mark.parametrize(
        ("sql", "parameters"),
        [("SELECT ?", ()), ("SELECT ?", (1, 2)), ("SELECT :a", {"b": 1}), ("SELECT 1", (1,))],
    )
    def test_other_parameters_than_there_are_places_are_refused(
        self, asked: RunRepository, sql: str, parameters: object
    ) -> None:
        with pytest.raises(QueryError):
            asked.query(sql, parameters)  # type: ignore[arg-type]

    def test_values_are_plain(self, asked: RunRepository) -> None:
        sql = "SELECT true, 1.5::numeric, 2::numeric, 'x'::bytea, now()::date, '{\"a\": 1}'::jsonb"

        (row,) = asked.query(sql).rows

        assert row[:4] == (1, 1.5, 2, b"x")
        assert isinstance(row[4], str)
        assert row[5] == '{"a": 1}'


class TestGrants:
    """`db grants`."""

    @pytest.fixture
    def login(self, server: postgres.Server, server_database: str) -> Iterator[str]:
        """Give the URL of a login that has only the reader's role."""
        grant_roles(server.url(server_database))
        server.execute(server_database, "CREATE ROLE analyst LOGIN")
        server.execute(server_database, f"GRANT {READER} TO analyst")
        yield server.url(server_database, user="analyst")
        server.execute(server_database, "DROP ROLE analyst")

    def test_a_reader_asks_and_can_not_write(
        self, login: str, server: postgres.Server, server_database: str
    ) -> None:
        with RunRepository.open(server.url(server_database)) as owner:
            owner.save("run_1", recorded(3))

        with RunRepository.open(login) as reader:
            assert reader.get("run_1").revision == 1
            assert reader.query("SELECT count(*) FROM v_runs").rows == [(1,)]
            with pytest.raises(DatabaseError, match="db grants"):
                reader.save("run_2", recorded(3))
            with pytest.raises(DatabaseError, match="db grants"):
                reader.delete("run_1")

    def test_a_writer_pushes_and_can_not_migrate(
        self, server: postgres.Server, server_database: str
    ) -> None:
        psycopg = pytest.importorskip("psycopg")
        grant_roles(server.url(server_database))
        server.execute(server_database, "CREATE ROLE rig LOGIN IN ROLE astraguard_writer")
        try:
            with RunRepository.in_memory() as here:
                here.save("run_1", recorded(3), tags={"a": "b"})

                report = here.push(server.url(server_database, user="rig"))

            assert report.pushed == ("run_1",)
            with (
                psycopg.connect(server.url(server_database, user="rig")) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute("DROP TABLE runs CASCADE")
        finally:
            server.execute(server_database, "DROP ROLE rig")

    def test_a_role_without_rights_here_is_not_taken_on(
        self, server: postgres.Server, server_database: str, server_template: str
    ) -> None:
        other = server.new_database(server_template)
        grant_roles(server.url(other))
        server.drop_database(other)

        with RunRepository.open(server.url(server_database)) as repository:
            assert repository.query("SELECT count(*) FROM v_runs").rows == [(0,)]

    def test_they_may_be_run_again(self, server_url: str) -> None:
        grant_roles(server_url)
        grant_roles(server_url)

    def test_they_are_printed(self) -> None:
        result = run("db", "grants")

        assert result.exit_code == 0
        assert result.stdout.splitlines() == [f"{statement};" for statement in grant_statements()]
