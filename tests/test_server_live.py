"""Runs that live, on a server: states, units, noise and attachments, pushed as they change."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import postgres
import pytest
from command_line import run, run_json
from recordings import recorded

from astraguard_store import (
    InvalidRunError,
    LatencyCollector,
    Provenance,
    RunRepository,
    StoreNotFoundError,
    Unit,
)

FAULTS = "fault_detection"
VIEWS = [
    "v_runs",
    "v_attachments",
    "v_units",
    "v_machine_noise",
    "v_latency",
    "v_effective_events",
]
DIES = """
import os, signal, sys, time
from pathlib import Path
from astraguard_store import RunRepository
run = RunRepository.open(sys.argv[1]).run("run", flush_every_s=0.05).__enter__()
for number in range(1_000):
    run.record("fault_detection", "SAT1", number / 10, 1.0 + number % 7)
(journal,) = Path(sys.argv[1], ".staging").glob("*.journal")
while journal.stat().st_size < 1_000 * 32:
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


def fill(run: LatencyCollector, measurements: int = 10) -> None:
    for number in range(measurements):
        run.record(FAULTS, f"SAT{number % 3}", number / 10, 1.0 + number % 7)


@pytest.fixture
def rig(results: Path) -> Iterator[RunRepository]:
    """Give a store in a folder."""
    with RunRepository.open(
        results, durability="normal", keep_measurements="database"
    ) as repository:
        yield repository


def record_all_kinds(rig: RunRepository, folder: Path) -> None:
    """Record a run with all that a run may have, one that fails, and save two others."""
    note = folder / "note.txt"
    note.write_text("as seen", encoding="utf-8")
    units = {"SAT0": Unit(serial="A1", firmware="2"), "SAT1": Unit(serial="B2")}
    with rig.run(
        "recorded", provenance=Provenance(units=units, rig="r1"), satellite_buckets=True
    ) as live:
        fill(live, 40)
        live.attach(note)
        live.attach(note, name="copy.txt")
    _fail(rig, "failed", measurements=10)
    _fail(rig, "empty", measurements=0)
    changed = Provenance(units={"SAT0": Unit(serial="A9", firmware="2")}, rig="r1")
    rig.save("saved", recorded(30), provenance=changed, satellite_buckets=True, save_id="take 1")
    rig.save("plain", recorded(5))


def _fail(rig: RunRepository, run_id: str, measurements: int) -> None:
    with contextlib.suppress(RuntimeError), rig.run(run_id) as live:
        fill(live, measurements)
        raise RuntimeError("the arm hit the wall")


class TestAsOnTheRig:
    """What a server says of pushed runs is what the rig says."""

    @pytest.fixture(autouse=True)
    def pushed(self, rig: RunRepository, tmp_path: Path, server_url: str) -> RunRepository:
        record_all_kinds(rig, tmp_path)
        rig.push(server_url)
        return rig

    def test_runs_are_the_same_and_sound(
        self, pushed: RunRepository, there: RunRepository
    ) -> None:
        found = {header.run_id: there.get(header.run_id) for header in there.recent()}

        assert found == {header.run_id: pushed.get(header.run_id) for header in pushed.recent()}
        noise = found["recorded"].noise
        assert noise is not None
        assert isinstance(noise.load_start, float)
        assert [a.name for a in found["recorded"].attachments] == ["copy.txt", "note.txt"]
        assert found["failed"].state == "failed"
        assert "the arm hit the wall" in str(found["failed"].error)
        assert there.check().is_sound

    def test_whole_numbers_of_noise_are_of_the_same_type(
        self, pushed: RunRepository, server_url: str, server: postgres.Server, server_database: str
    ) -> None:
        server.execute(server_database, "UPDATE machine_noise SET load_start = 2, load_end = NULL")

        with RunRepository.open(server_url) as there:
            noise = there.get("recorded").noise

        was = pushed.get("recorded").noise
        assert was is not None
        assert repr(noise) == repr(replace(was, load_start=2.0, load_end=None))

    def test_it_is_the_same_object_again(self, there: RunRepository) -> None:
        assert there.get("recorded") is there.get("recorded")

    @pytest.mark.parametrize("state", ["running", "finished", "failed", "interrupted"])
    def test_lists_by_state(self, pushed: RunRepository, there: RunRepository, state: str) -> None:
        found = there.recent(state=state)  # type: ignore[arg-type]

        assert found == pushed.recent(state=state)  # type: ignore[arg-type]

    @pytest.mark.parametrize("pair", [("recorded", "saved"), ("failed", "plain")])
    @pytest.mark.parametrize("by_satellite", [False, True])
    def test_comparisons_tell_of_states_units_and_steal(
        self,
        pushed: RunRepository,
        there: RunRepository,
        pair: tuple[str, str],
        by_satellite: bool,
    ) -> None:
        found = there.compare(*pair, by_satellite=by_satellite)

        assert found == pushed.compare(*pair, by_satellite=by_satellite)
        assert found.warnings == pushed.compare(*pair, by_satellite=by_satellite).warnings

    @pytest.mark.parametrize("by", [[], ["serial"], ["rig", "satellite"]])
    def test_percentiles_leave_out_what_is_not_finished(
        self, pushed: RunRepository, there: RunRepository, by: list[str]
    ) -> None:
        found = there.grouped_percentiles(by, [0.5, 0.9], metric_type=FAULTS)

        expected = pushed.grouped_percentiles(by, [0.5, 0.9], metric_type=FAULTS)
        assert list(found.items()) == list(expected.items())
        assert found

    @pytest.mark.parametrize("view", VIEWS)
    def test_views_have_the_same_rows(
        self, pushed: RunRepository, there: RunRepository, view: str
    ) -> None:
        found, expected = (one.query(f"SELECT * FROM {view}") for one in (there, pushed))

        assert found.columns == expected.columns
        assert sorted(map(repr, _plain(found.rows))) == sorted(map(repr, _plain(expected.rows)))

    def test_a_pruning_keeps_what_is_not_finished(
        self, pushed: RunRepository, there: RunRepository
    ) -> None:
        expected = pushed.prune(keep=0, dry_run=True)

        report = there.prune(keep=0)

        assert report.deleted == expected.deleted
        assert report.unfinished == expected.unfinished == ("failed", "empty")
        assert {header.run_id for header in there.recent()} == {"failed", "empty"}

    def test_show_tells_all_of_it(self, pushed: RunRepository, server_url: str) -> None:
        shown = run("show", "recorded", "--results", server_url).stdout
        here = run("show", "recorded", "--results", str(pushed.results_dir)).stdout

        # But for where the files are, and what only the measurements tell.
        assert "recorded/attachments/note.txt" in shown
        assert "A1" in shown
        assert "load average" in shown
        shorter = here.replace(f"{pushed.results_dir}/", "")
        drawn = set("-▁▂▃▄▅▆▇█")
        assert [w for w in shown.split() if not set(w) <= drawn] == [
            w for w in shorter.split() if not set(w) <= drawn
        ]


def _plain(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    # SQLite has no bool.
    return [tuple(int(v) if isinstance(v, bool) else v for v in row) for row in rows]


class TestWhileItIsRecorded:
    """A server follows a recorder as often as somebody pushes."""

    def test_it_is_running_there_and_then_finished(
        self, rig: RunRepository, there: RunRepository, server_url: str
    ) -> None:
        with rig.run("run", tags={"a": "b"}) as live:
            fill(live)
            first = rig.push(server_url)
            seen = there.get("run")
            second = rig.push(server_url)
        third = rig.push(server_url)
        fourth = rig.push(server_url)

        assert (seen.state, seen.metrics, seen.tags) == ("running", {}, {"a": "b"})
        assert (first.pushed, second.known) == (("run",), 1)
        assert (third.replaced, third.conflicts) == (("run",), ())
        assert fourth.known == 1
        assert there.get("run") == rig.get("run")
        assert (there.get("run").state, there.get("run").revision) == ("finished", 1)

    def test_it_goes_on_as_its_recorder_does(
        self, rig: RunRepository, there: RunRepository, server_url: str
    ) -> None:
        with rig.run("run", flush_every_s=0.05) as live:
            rig.push(server_url)
            before = there.get("run").last_written_at
            _beat(live)
            report = rig.push(server_url)
            after = there.get("run")

            assert report.replaced == ("run",)
            assert before is not None
            assert after.last_written_at is not None
            assert after.last_written_at > before
            assert after.total_measurements == 10

    def test_recorded_again_it_keeps_its_numbers_until_it_is_saved(
        self, rig: RunRepository, there: RunRepository, server_url: str
    ) -> None:
        saved = rig.save("run", recorded(5))
        rig.push(server_url)

        with rig.run("run") as live:
            fill(live)
            rig.push(server_url)
            seen = there.get("run")
        rig.push(server_url)

        assert (seen.state, seen.metrics) == ("running", saved.metrics)
        assert there.get("run") == rig.get("run")
        assert there.get("run").revision == 2

    def test_a_recorder_that_dies_leaves_an_interrupted_run(
        self, rig: RunRepository, there: RunRepository, server_url: str
    ) -> None:
        done = subprocess.run([sys.executable, "-c", DIES, str(rig.results_dir)], timeout=60)
        rig.push(server_url)
        before = there.get("run").state
        with RunRepository.open(rig.results_dir) as again:
            again.push(server_url)
            expected = again.get("run")

        assert done.returncode == -signal.SIGKILL
        assert before == "running"
        assert there.get("run") == expected
        assert (expected.state, expected.total_measurements) == ("interrupted", 1_000)

    def test_a_running_run_stays_in_a_pruning_and_may_be_deleted(
        self, rig: RunRepository, there: RunRepository, server_url: str
    ) -> None:
        with rig.run("run"):
            rig.push(server_url)

            report = there.prune(keep=0, unfinished=True)
            there.delete("run")

            assert (report.deleted, report.unfinished) == ((), ("run",))
            assert there.recent() == []

    def test_somebody_elses_running_run_is_a_conflict(
        self, rig: RunRepository, there: RunRepository, server_url: str
    ) -> None:
        with RunRepository.in_memory() as other, other.run("run"), rig.run("run"):
            other.push(server_url)
            report = rig.push(server_url)

        assert [run_id for run_id, _ in report.conflicts] == ["run"]
        assert there.get("run").state == "running"


def _beat(live: LatencyCollector) -> None:
    """Record, and let the row tell of it; a recorder does so every few seconds."""
    fill(live)
    live._recording.beat(10)  # type: ignore[attr-defined]


class TestSavedByUrl:
    """What a server does without a rig."""

    def test_a_named_save_is_one_save(self, there: RunRepository) -> None:
        found = recorded(5)

        first = there.save("run", found, save_id="take 1")
        again = there.save("run", found, save_id="take 1")
        other = there.save("run", recorded(6), save_id="take 2")

        assert again == first
        assert (first.revision, other.revision, other.save_id) == (1, 2, "take 2")

    def test_a_name_of_another_save_is_refused(self, there: RunRepository) -> None:
        there.save("run", recorded(5), save_id="take 1")

        with pytest.raises(InvalidRunError, match="other measurements"):
            there.save("run", recorded(6), save_id="take 1")
        with pytest.raises(InvalidRunError, match="'run'"):
            there.save("another", recorded(5), save_id="take 1")
        assert there.get("run").revision == 1

    def test_units_come_back(self, there: RunRepository) -> None:
        units = {"SAT001": Unit(serial="A1", hardware="C")}

        saved = there.save("run", recorded(5), provenance=Provenance(units=units))

        assert saved.provenance.units == units
        assert there.get("run") == saved

    def test_a_recording_is_refused(self, there: RunRepository) -> None:
        with pytest.raises(StoreNotFoundError, match="record it into a results folder"):
            there.run("run").__enter__()

    def test_the_command_saves_to_the_url(self, tmp_path: Path, server_url: str) -> None:
        file = tmp_path / "delays.csv"
        file.write_text("duration_ms,scenario_time_s\n1.5,0\n2.5,1\n", encoding="utf-8")
        words = ("--metric", FAULTS, "--satellite", "SAT1", "--results", server_url)

        shape = run_json("save", "run", file, *words)

        assert (shape["total_measurements"], shape["answers_from"]) == (2, "database")
        assert os.environ.get("PGPASSWORD") is None
