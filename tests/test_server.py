"""One contract for a file, a store in memory and a server: the same runs, the same answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import postgres
import pytest
from command_line import run
from network import Network
from recordings import recorded

from astraguard_store import (
    ArtifactReadError,
    ClosedStoreError,
    DatabaseError,
    History,
    InvalidRunError,
    LatencyCollector,
    Provenance,
    ReadOnlyStoreError,
    RunNotFoundError,
    RunRepository,
    StoreNotFoundError,
)

FAULTS = "fault_detection"
SOURCES = ["file", "memory", "server"]
BY = [[], ["run"], ["satellite"], ["scenario", "rig"], ["day", "week", "month"], ["run", "host"]]
VIEWS = [
    "v_artifacts",
    "v_buckets",
    "v_changes",
    "v_latency",
    "v_measurements",
    "v_runs",
    "v_tags",
]


def missing_some(number: int) -> LatencyCollector:
    """Record events on two satellites, some of them missed, and with odd names."""
    collector = recorded(20, scale=1.0 + number)
    for second in range(number % 7):
        collector.record_missed(FAULTS, "SAT002", float(second), 50.0 * number)
    collector.record_fault_detection("Ünï 'quoted' %s :x ?", 1.0, -0.0)
    return collector


def fill(repository: RunRepository) -> None:
    """Save eight runs of several scenarios and rigs, two of them twice."""
    for number in (0, 1, 2, 3, 4, 5, 6, 7, 3, 5):
        scenario = None if number % 3 == 0 else f"s{number % 2}"
        repository.save(
            f"run_{number}",
            missing_some(number),
            provenance=Provenance(
                scenario=scenario, rig=f"rig{number % 3}", seed=number, git_dirty=True
            ),
            tags={"n": str(number), **({"odd": "é"} if number % 2 else {})},
            satellite_buckets=number != 6,
        )


@dataclass
class Twin:
    """A store, and one of another kind with the same runs."""

    reference: RunRepository
    asked: RunRepository


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunRepository]:
    """Give a filled store in a folder, which no test here changes."""
    with RunRepository.open(
        tmp_path_factory.mktemp("origin") / "results", keep_measurements="database"
    ) as repository:
        fill(repository)
        yield repository


@pytest.fixture(scope="module", params=SOURCES)
def twin(
    request: pytest.FixtureRequest,
    origin: RunRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Twin]:
    """Give the same runs in a store of each kind; no test changes them."""
    if request.param == "memory":
        with RunRepository.in_memory() as asked:
            assert origin.results_dir
            asked.merge(origin.results_dir)
            yield Twin(origin, asked)
    elif request.param == "file":
        with RunRepository.open(tmp_path_factory.mktemp("twin"), read_only=False) as asked:
            assert origin.results_dir
            asked.merge(origin.results_dir)
            yield Twin(origin, asked)
    else:
        server: postgres.Server = request.getfixturevalue("server")
        name = server.new_database(request.getfixturevalue("server_template"))
        report = origin.push(server.url(name))
        assert len(report.pushed) == 8
        with RunRepository.open(server.url(name)) as asked:
            yield Twin(origin, asked)
        server.drop_database(name)


class TestAnswers:
    """Each question, of each kind of store."""

    @pytest.mark.parametrize("number", range(8))
    def test_get(self, twin: Twin, number: int) -> None:
        run = twin.asked.get(f"run_{number}")

        expected = twin.reference.get(f"run_{number}")
        assert (run.revision, run.recorded_at) == (expected.revision, expected.recorded_at)
        assert run.metrics == expected.metrics
        assert list(run.metrics) == list(expected.metrics)
        assert run.satellites == expected.satellites
        assert list(run.satellites) == list(expected.satellites)
        assert (run.provenance, run.tags) == (expected.provenance, expected.tags)
        assert run.total_measurements == expected.total_measurements

    def test_get_gives_the_same_object_again(self, twin: Twin) -> None:
        assert twin.asked.get("run_1") is twin.asked.get("run_1")

    def test_a_run_that_is_not_there(self, twin: Twin) -> None:
        with pytest.raises(RunNotFoundError, match="'nobody'"):
            twin.asked.get("nobody")
        with pytest.raises(RunNotFoundError, match="'nobody'"):
            twin.asked.compare("run_1", "nobody")

    @pytest.mark.parametrize("limit", [0, 1, 3, 100, 2**62])
    def test_recent(self, twin: Twin, limit: int) -> None:
        assert twin.asked.recent(limit) == twin.reference.recent(limit)

    @pytest.mark.parametrize(
        "filters",
        [
            {"scenario": "s1"},
            {"tag": "odd"},
            {"tag": ("n", "3")},
            {"since": datetime(2000, 1, 1, tzinfo=UTC)},
            {"since": datetime(2900, 1, 1, tzinfo=UTC)},
            {"above": (FAULTS, "p95_ms", 30.0)},
            {"above": (FAULTS, "mean_ms", 30), "tag": "odd", "scenario": "s1"},
        ],
    )
    def test_recent_with_filters(self, twin: Twin, filters: dict[str, object]) -> None:
        found = twin.asked.recent(**filters)  # type: ignore[arg-type]

        assert found == twin.reference.recent(**filters)  # type: ignore[arg-type]

    def test_recent_page_by_page(self, twin: Twin) -> None:
        first = twin.asked.recent(3)

        second = twin.asked.recent(3, before=first[-1])

        assert first + second == twin.reference.recent(6)

    @pytest.mark.parametrize("by_satellite", [False, True])
    @pytest.mark.parametrize("pair", [("run_1", "run_2"), ("run_6", "run_0"), ("run_3", "run_3")])
    def test_compare(self, twin: Twin, pair: tuple[str, str], by_satellite: bool) -> None:
        found = twin.asked.compare(*pair, by_satellite=by_satellite)

        assert found == twin.reference.compare(*pair, by_satellite=by_satellite)

    @pytest.mark.parametrize("by", BY)
    @pytest.mark.parametrize("runs", [None, ["run_1", "run_4", "run_6"]])
    def test_percentiles(self, twin: Twin, by: list[str], runs: list[str] | None) -> None:
        found = twin.asked.grouped_percentiles(by, [0.5, 0.99], metric_type=FAULTS, runs=runs)

        expected = twin.reference.grouped_percentiles(
            by, [0.5, 0.99], metric_type=FAULTS, runs=runs
        )
        assert list(found.items()) == list(expected.items())

    @pytest.mark.parametrize("satellite_id", [None, "SAT002"])
    def test_history_and_distribution(self, twin: Twin, satellite_id: str | None) -> None:
        runs = ["run_1", "run_3", "run_6"]

        history = twin.asked.history(FAULTS, by="scenario", satellite_id=satellite_id)
        shown = twin.asked.distribution(FAULTS, runs, satellite_id=satellite_id)

        assert history == twin.reference.history(FAULTS, by="scenario", satellite_id=satellite_id)
        kept = twin.reference.distribution(FAULTS, runs, satellite_id=satellite_id)
        assert {run.run_id for run in shown.runs} >= {"run_1", "run_3"}
        assert set(shown.runs) <= set(kept.runs)

    def test_percentiles_of_a_run_that_is_not_there(self, twin: Twin) -> None:
        with pytest.raises(RunNotFoundError, match="'nobody'"):
            twin.asked.percentiles([0.5], metric_type=FAULTS, runs=["run_1", "nobody"])

    @pytest.mark.parametrize("by", [None, "scenario", "satellite"])
    def test_a_history(self, twin: Twin, by: str | None) -> None:
        found = twin.asked.history(FAULTS, by=by, limit=6)

        assert found == twin.reference.history(FAULTS, by=by, limit=6)
        assert found.points

    @pytest.mark.parametrize("satellite", [None, "SAT001"])
    def test_a_distribution(self, twin: Twin, satellite: str | None) -> None:
        found = twin.asked.distribution(FAULTS, ["run_2", "run_6"], satellite_id=satellite)

        assert found == twin.reference.distribution(
            FAULTS, ["run_2", "run_6"], satellite_id=satellite
        )
        assert len(found.runs) == 2

    def test_measurements(self, twin: Twin) -> None:
        frame = twin.asked.measurements("run_5")

        assert frame.equals(twin.reference.measurements("run_5"))

    def test_the_document(self, twin: Twin) -> None:
        assert twin.asked.read_document("run_2") == twin.reference.read_document("run_2")

    def test_a_check_finds_it_sound(self, twin: Twin) -> None:
        report = twin.asked.check()

        assert report.is_sound, report

    def test_an_estimate_of_a_pruning(self, twin: Twin) -> None:
        report = twin.asked.prune(keep=3, dry_run=True)

        assert report.deleted == twin.reference.prune(keep=3, dry_run=True).deleted

    @pytest.mark.parametrize("view", VIEWS)
    def test_the_views_have_the_same_rows(self, twin: Twin, view: str) -> None:
        sql = f"SELECT * FROM {view}"

        found, expected = twin.asked.query(sql), twin.reference.query(sql)

        assert found.columns == expected.columns
        if view != "v_artifacts":  # no store has the files of another
            assert sorted(map(shown, found.rows)) == sorted(map(shown, expected.rows))

    def test_a_query_with_parameters(self, twin: Twin) -> None:
        by_place = twin.asked.query("SELECT n FROM v_latency WHERE run_id = ?", ("run_1",))
        by_name = twin.asked.query("SELECT n FROM v_latency WHERE run_id = :r", {"r": "run_1"})

        assert sorted(by_place.rows) == sorted(by_name.rows)
        assert len(by_place.rows) == len(twin.reference.query(
            "SELECT n FROM v_latency WHERE run_id = 'run_1'"
        ).rows)  # fmt: skip

    def test_a_query_is_cut_at_its_limit(self, twin: Twin) -> None:
        found = twin.asked.query("SELECT run_id FROM v_runs ORDER BY run_id", row_limit=2)

        assert (found.rows, found.truncated) == ([("run_0",), ("run_1",)], True)


def shown(row: tuple[object, ...]) -> tuple[str, ...]:
    """Give a row to be sorted; floats as 12 digits, as a product may be rounded otherwise."""
    return tuple(f"{v:.12g}" if isinstance(v, float) else repr(v) for v in row)


class TestWriting:
    """What is saved and changed by URL."""

    def test_a_save_is_read_as_it_was_saved(self, there: RunRepository, server_url: str) -> None:
        saved = there.save("run_1", missing_some(3), tags={"a": "b"})

        with RunRepository.open(server_url) as other:
            assert other.get("run_1") == saved

    def test_a_second_save_replaces_the_first_and_keeps_its_tags(
        self, there: RunRepository
    ) -> None:
        there.save("run_1", recorded(5), tags={"a": "1", "b": "2"})

        second = there.save("run_1", missing_some(2), tags={"b": "3"})

        assert second.revision == 2
        assert second.tags == {"a": "1", "b": "3"}
        assert there.get("run_1") == second
        assert there.check().is_sound

    def test_many_are_saved_or_none(self, there: RunRepository) -> None:
        with pytest.raises(InvalidRunError):
            there.save_many([("run_1", recorded(5)), ("run_2", LatencyCollector())])

        assert there.recent() == []

    def test_kept_measurements_come_back(self, server_url: str) -> None:
        with RunRepository.open(server_url, keep_measurements="database") as repository:
            repository.save("run_1", recorded(50))

            assert repository.measurements("run_1").height == 150
            assert repository.purge_measurements("run_1") == 150
            with pytest.raises(ArtifactReadError, match="keeps no measurements"):
                repository.measurements("run_1")

    def test_tags_are_set_and_removed(self, there: RunRepository) -> None:
        there.save("run_1", recorded(5), tags={"a": "1"})
        before = there.get("run_1")

        changed = there.set_tags("run_1", {"a": None, "b": "2"})

        assert changed.tags == {"b": "2"}
        assert before.tags == {"a": "1"}
        with pytest.raises(RunNotFoundError):
            there.set_tags("run_2", {"a": "b"})

    def test_a_deleted_run_is_gone_with_all_rows(
        self, there: RunRepository, server: postgres.Server, server_database: str
    ) -> None:
        there.save("run_1", recorded(5), tags={"a": "1"})

        there.delete("run_1")

        with pytest.raises(RunNotFoundError):
            there.get("run_1")
        with pytest.raises(RunNotFoundError):
            there.delete("run_1")
        for table in ("statistics", "buckets", "run_tags", "run_documents"):
            assert server.execute(server_database, f"SELECT count(*) FROM {table}") == [(0,)]

    def test_pinned_runs_are_not_pruned(self, there: RunRepository) -> None:
        for number in range(5):
            there.save(f"run_{number}", recorded(3), tags={"pinned": ""} if number == 1 else {})

        report = there.prune(keep=1)

        assert report.deleted == ("run_0", "run_2", "run_3")
        assert report.pinned == ("run_1",)
        assert [run.run_id for run in there.recent()] == ["run_4", "run_1"]

    def test_opened_for_reading_it_refuses_to_write(self, server_url: str) -> None:
        repository = RunRepository.open(server_url, read_only=True)

        with pytest.raises(ReadOnlyStoreError):
            repository.save("run_1", recorded(5))

        repository.close()
        with pytest.raises(ClosedStoreError, match="postgresql://"):
            repository.recent()

    @pytest.mark.parametrize("act", ["export", "back_up", "merge", "import_legacy", "push"])
    def test_what_needs_files_is_refused(
        self, there: RunRepository, act: str, tmp_path: Path
    ) -> None:
        arguments = {
            "export": (["run_1"], tmp_path / "x"),
            "back_up": (tmp_path / "x",),
            "merge": (tmp_path,),
            "import_legacy": (),
            "push": ("postgresql://server/runs",),
        }

        with pytest.raises(StoreNotFoundError, match="postgresql://"):
            getattr(there, act)(*arguments[act])

    def test_a_row_that_somebody_changes_is_read_anew(
        self, there: RunRepository, server: postgres.Server, server_database: str
    ) -> None:
        there.save("run_1", recorded(5))
        there.get("run_1")

        server.execute(
            server_database, "UPDATE statistics SET max_ms = 99.5 WHERE satellite_id = ''"
        )

        assert {metric.max_ms for metric in there.get("run_1").metrics.values()} == {99.5}

    def test_a_wrong_document_is_found_and_mended(
        self, there: RunRepository, server: postgres.Server, server_database: str
    ) -> None:
        there.save("run_1", recorded(5))
        server.execute(server_database, "DELETE FROM run_documents")

        assert [finding.kind for finding in there.check().findings] == ["wrong_document"]
        assert len(there.check(fix=True).mended) == 1
        assert there.check().is_sound

    def test_no_read_is_older_than_the_last_commit(self, server_url: str) -> None:
        stop = threading.Event()
        saved = [0]

        def save() -> None:
            with RunRepository.open(server_url) as writer:
                while not stop.is_set():
                    saved[0] = writer.save("run_1", recorded(3)).revision

        with RunRepository.open(server_url) as reader:
            reader.save("run_1", recorded(3))
            thread = threading.Thread(target=save)
            thread.start()
            try:
                for _ in range(200):
                    least = saved[0]
                    assert reader.get("run_1").revision >= least
            finally:
                stop.set()
                thread.join()

        assert saved[0] > 1

    def test_of_several_hosts_the_one_that_takes_writes_is_asked(
        self, server: postgres.Server, server_database: str
    ) -> None:
        if server.folder is None:
            pytest.skip(f"{postgres.VARIABLE} names a server that is on no socket of ours")
        hosts = f"host=/nowhere,{server.folder}&target_session_attrs=read-write"

        with RunRepository.open(f"postgresql://{postgres.USER}@/{server_database}?{hosts}") as it:
            assert it.save("run_1", recorded(3)).revision == 1
            server.execute(
                "postgres",
                f"ALTER DATABASE {server_database} SET default_transaction_read_only = on",
            )
            it.close()

        with (
            pytest.raises(DatabaseError, match="read-only"),
            RunRepository.open(f"postgresql://{postgres.USER}@/{server_database}?{hosts}"),
        ):
            pass


class TestRoundTrips:
    """What a network's delay multiplies."""

    @pytest.fixture
    def network(self, server: postgres.Server) -> Iterator[Network]:
        with Network.before(server) as network:
            yield network

    @pytest.fixture
    def there(self, network: Network, server_database: str) -> Iterator[RunRepository]:
        with RunRepository.open(network.url(server_database)) as repository:
            for number in range(3):
                repository.save(f"run_{number}", missing_some(number), tags={"n": str(number)})
            yield repository

    def test_get_takes_one(self, there: RunRepository, network: Network) -> None:
        assert network.turns_of(lambda: there.get("run_1")) == 1
        assert network.turns_of(lambda: there.get("run_1")) == 1

    def test_recent_takes_one(self, there: RunRepository, network: Network) -> None:
        assert network.turns_of(lambda: there.recent()) == 1
        assert network.turns_of(lambda: there.recent(tag="n", above=(FAULTS, "p95_ms", 1.0))) == 1

    @pytest.mark.parametrize(
        "ask",
        [
            lambda there: there.get("run_1"),
            lambda there: there.recent(10),
            lambda there: there.recent(10, scenario="s1"),
            lambda there: there.compare("run_1", "run_2"),
        ],
    )
    def test_asked_often_the_server_plans_it_no_more(
        self, there: RunRepository, ask: Callable[[RunRepository], object]
    ) -> None:
        for _ in range(30):
            ask(there)

        plans = (
            "SELECT custom_plans FROM pg_prepared_statements "
            "ORDER BY generic_plans + custom_plans DESC LIMIT 1"
        )
        source: Any = there._source()
        made = source.database.read(lambda c: c.run(plans).fetchone(), one_statement=True)
        # It makes five before it decides that one for all is as good.
        assert made[0] <= 5

    @pytest.mark.parametrize("by_satellite", [False, True])
    def test_compare_takes_one(
        self, there: RunRepository, network: Network, by_satellite: bool
    ) -> None:
        assert (
            network.turns_of(lambda: there.compare("run_0", "run_1", by_satellite=by_satellite))
            == 1
        )

    def test_percentiles_take_four_at_most(self, there: RunRepository, network: Network) -> None:
        asked = ["run_0", "run_1"]

        assert (
            network.turns_of(lambda: there.percentiles([0.5], metric_type=FAULTS, runs=asked)) <= 4
        )

    @pytest.mark.parametrize("run_id", ["run_0", "new"])
    def test_a_save_takes_two(self, there: RunRepository, network: Network, run_id: str) -> None:
        found = missing_some(5)

        assert network.turns_of(lambda: there.save(run_id, found, tags={"a": "b"})) == 2

    @pytest.mark.parametrize(
        ("command", "most"),
        [
            # A connection takes one to begin, the schema is looked at, then the list, and
            # what is shown of its runs; `watch` also looks for those that are recorded.
            (["recent", "--limit", "100"], 4),
            (["watch", "--times", "1", "--limit", "100"], 5),
            (["history", FAULTS, "--limit", "100"], 4),
        ],
    )
    def test_a_list_of_many_runs_takes_as_few_as_one_of_three(
        self,
        there: RunRepository,
        network: Network,
        server_database: str,
        command: list[str],
        most: int,
    ) -> None:
        url = network.url(server_database)
        of_three = network.turns_of(lambda: run(*command, "--results", url))
        there.save_many([(f"more_{number}", missing_some(number)) for number in range(60)])

        of_many = network.turns_of(lambda: run(*command, "--results", url))

        assert of_many == of_three <= most

    def test_many_runs_are_had_by_one_and_are_those_that_get_gives(
        self, there: RunRepository, network: Network, server: postgres.Server, server_database: str
    ) -> None:
        found: list[History] = []
        server.execute(server_database, "DELETE FROM run_documents WHERE run_id = 'run_1'")
        there.get("run_0")
        there.get("run_1")

        # The list, the runs, and the rows of the one that has no document: a snapshot of four.
        turns = network.turns_of(lambda: found.append(there.history(FAULTS)))

        assert turns <= 2 + 5
        assert [point.summary for point in found[0].points] == [
            there.get(f"run_{number}").metrics[FAULTS] for number in range(3)
        ]

    def test_a_history_with_a_baseline_takes_one_more(
        self, there: RunRepository, network: Network
    ) -> None:
        there.set_baseline("nightly", ["run_0", "run_1"])
        found: list[History] = []

        of_plain = network.turns_of(lambda: there.history(FAULTS, limit=1))
        of_held = network.turns_of(
            lambda: found.append(there.history(FAULTS, limit=1, baseline="nightly"))
        )

        assert of_held == of_plain + 1
        assert [point.run_id for point in found[0].points] == ["run_2"]
        p95s = [there.get(run_id).metrics[FAULTS].p95 or 0 for run_id in ("run_0", "run_1")]
        assert found[0].bands() == {None: (min(p95s), max(p95s))}

    def test_a_push_of_a_hundred_runs_takes_four(
        self, network: Network, server_database: str
    ) -> None:
        turns = []
        with RunRepository.in_memory() as here:
            for hundred in range(1, 4):
                first = 100 * hundred
                here.save_many([(f"run_{n}", recorded(3)) for n in range(first, first + 100)])
                turns.append(network.turns_of(lambda: here.push(network.url(server_database))))

        # The schema is looked at, the runs are asked for, and written in two. The least of
        # three: an answer may come while the rest of a long message is still being sent,
        # for which nobody waits.
        assert min(turns) - 1 <= 4


class TestRefusedByTheServer:
    """A server that runs and refuses: the error says what to do there."""

    @pytest.mark.parametrize(
        ("code", "advice"),
        [
            ("53100", "disk is full: make room there"),
            ("57014", "statement_timeout is too short"),
            ("25006", "takes no writes, as a replica does"),
        ],
        ids=["full disk", "time limit", "replica"],
    )
    def test_nothing_is_written_and_the_error_says_what_to_do(
        self, server: postgres.Server, server_database: str, code: str, advice: str
    ) -> None:
        server.execute(
            server_database,
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'as it is' USING ERRCODE = '{code}'; END $$",
        )
        server.execute(
            server_database,
            "CREATE TRIGGER refuse BEFORE INSERT ON statistics EXECUTE FUNCTION refuse()",
        )
        with (
            RunRepository.in_memory() as rig,
            RunRepository.open(server.url(server_database)) as there,
        ):
            rig.save("run_1", recorded(3))

            with pytest.raises(DatabaseError, match=f"as it is.*; .*{advice}"):
                rig.push(server.url(server_database))
            with pytest.raises(DatabaseError, match=advice):
                there.save("run_2", recorded(3))

            assert there.recent() == []
