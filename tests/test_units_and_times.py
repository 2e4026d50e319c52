"""Units under test, the times at which runs were flown, and the machine's noise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import verdict_runs
from click.testing import CliRunner
from recordings import recorded

from astraguard_store import (
    InvalidRunError,
    LatencyCollector,
    MachineNoise,
    Provenance,
    RunRepository,
    Unit,
)
from astraguard_store.artifacts.journal import load_journal
from astraguard_store.cli import main
from astraguard_store.comparison import Comparison, compare
from astraguard_store.noise import Worst
from astraguard_store.system.noise import NoiseMeter

FLOWN = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def repository() -> Any:
    """Give a store in memory."""
    with RunRepository.in_memory() as repository:
        yield repository


def units(**serials: str) -> Provenance:
    return Provenance(units={name: Unit(serial=serial) for name, serial in serials.items()})


class TestUnits:
    """Which piece of hardware a satellite was."""

    def test_they_are_stored_as_rows(self, repository: RunRepository) -> None:
        unit = Unit(serial="0042", hardware="B", firmware="2.1")

        saved = repository.save("run", recorded(5), provenance=Provenance(units={"SAT001": unit}))

        assert saved.provenance.units == {"SAT001": unit}
        assert repository.get("run") == saved
        assert repository.query("SELECT * FROM v_units").rows == [
            ("run", "SAT001", "0042", "B", "2.1")
        ]

    def test_a_comparison_tells_what_differs(self, repository: RunRepository) -> None:
        repository.save("a", recorded(5), provenance=units(SAT001="1", SAT002="2"))
        repository.save("b", recorded(5), provenance=units(SAT001="1", SAT002="3"))

        changes = repository.compare("a", "b").provenance_changes

        assert changes == (("units.SAT002.serial", "2", "3"),)

    def test_percentiles_by_serial_follow_a_unit_from_place_to_place(
        self, repository: RunRepository
    ) -> None:
        for run_id, was in (
            ("a", units(SAT001="x", SAT002="y")),
            ("b", units(SAT001="y", SAT002="z")),
        ):
            repository.save(run_id, recorded(10), provenance=was, satellite_buckets=True)

        found = repository.grouped_percentiles(["serial"], [0.5], metric_type="fault_detection")

        assert {group: answer.count for group, answer in found.items()} == {
            ("x",): 5,
            ("y",): 10,
            ("z",): 5,
        }

    def test_percentiles_of_a_unit_in_one_run_are_its_own(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path) as repository:
            repository.save("without", recorded(6), provenance=units(SAT001="x"))
            collector = LatencyCollector()
            for satellite, duration_ms in (("SAT001", 1.0), ("SAT002", 9.0)):
                for tick in range(20):
                    collector.record_fault_detection(satellite, float(tick), duration_ms)
            was = units(SAT001="x", SAT002="y")
            repository.save("run", collector, provenance=was, satellite_buckets=True)
        words = ["percentiles", "fault_detection", "--by", "serial", "--results", str(tmp_path)]

        done = CliRunner().invoke(main, words)

        rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
        for serial, duration_ms in (("x", 1.0), ("y", 9.0)):
            found = [float(cell) for cell in rows[serial][-5:] if cell != "≈"]
            assert found == pytest.approx([duration_ms] * 3, rel=0.02)
        assert "`astraguard-store check --fix --satellite-buckets` counts them" in done.stderr

    @pytest.mark.parametrize(
        "wrong", [{"SAT001": "0042"}, {"": Unit()}, [("SAT001", Unit())], {1: Unit()}]
    )
    def test_what_is_no_unit_is_refused(self, wrong: Any) -> None:
        with pytest.raises(InvalidRunError, match="unit"):
            Provenance(units=wrong)

    def test_a_value_that_is_no_text_is_refused(self) -> None:
        with pytest.raises(InvalidRunError, match="serial of a unit"):
            Unit(serial=42)  # type: ignore[arg-type]

    def test_buckets_of_satellites_can_be_made_later(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path, durability="normal") as repository:
            repository.save("a", recorded(10), provenance=units(SAT001="x"))
            report = repository.check(fix=True, satellite_buckets=True)
            again = repository.check(fix=True, satellite_buckets=True)
            found = repository.percentiles(
                [0.5], metric_type="fault_detection", satellite_id="SAT001"
            )
            sound = repository.check(deep=True).is_sound

        assert [finding.kind for finding in report.mended] == ["missing_buckets"]
        assert again.mended == ()
        assert (found.count, sound) == (5, True)


class TestTimes:
    """Questions go by when a run was flown, not by when it was saved."""

    @pytest.fixture
    def flown(self, repository: RunRepository) -> RunRepository:
        """Give a store with runs of three days, all saved today."""
        for day in range(3):
            was = Provenance(started_at=FLOWN + timedelta(days=day))
            repository.save(f"day{day}", recorded(5), provenance=was)
        return repository

    def test_since_and_until_are_of_the_flight(self, flown: RunRepository) -> None:
        since = flown.recent(since=FLOWN + timedelta(days=1))
        until = flown.recent(until=FLOWN + timedelta(days=1))

        assert {header.run_id for header in since} == {"day1", "day2"}
        assert {header.run_id for header in until} == {"day0"}

    def test_recorded_since_is_of_the_save(self, flown: RunRepository) -> None:
        today = datetime.now(UTC) - timedelta(hours=1)

        assert len(flown.recent(recorded_since=today)) == 3
        assert flown.recent(since=today) == []

    def test_days_are_those_of_the_flight(self, flown: RunRepository) -> None:
        by_day = flown.grouped_percentiles(["day"], [0.5], metric_type="fault_detection")
        by_week = flown.grouped_percentiles(["week"], [0.5], metric_type="fault_detection")

        assert list(by_day) == [("2026-01-01",), ("2026-01-02",), ("2026-01-03",)]
        assert list(by_week) == [("2026-W01",)]

    def test_a_run_without_a_start_goes_by_its_save(self, repository: RunRepository) -> None:
        frame = pl.DataFrame(
            {
                "metric_type": ["m"],
                "satellite_id": ["S"],
                "duration_ms": [1.0],
                "scenario_time_s": [0.0],
                # Seconds since a boot: no date.
                "timestamp": [100.0],
            }
        )
        repository.save("run", frame)

        found = repository.recent(since=datetime.now(UTC) - timedelta(hours=1))

        assert [header.run_id for header in found] == ["run"]

    def test_the_commands_take_them(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path) as repository:
            for day in range(2):
                was = Provenance(started_at=FLOWN + timedelta(days=day))
                repository.save(f"day{day}", recorded(5), provenance=was)
        where = ["--json", "--results", str(tmp_path)]
        until = ["--since", "2026-01-01", "--until", "2026-01-02"]

        listed = CliRunner().invoke(main, ["recent", *until, *where])
        found = CliRunner().invoke(main, ["percentiles", "fault_detection", *until, *where])

        assert [run["run_id"] for run in json.loads(listed.stdout)["runs"]] == ["day0"]
        assert json.loads(found.stdout)["runs"] == 1


PROC = {
    "loadavg": "1.50 1.00 0.50 2/100 1234\n",
    "stat": "cpu  100 0 100 700 0 0 0 100 0 0\ncpu0 1 1 1 1\n",
    "pressure/cpu": "some avg10=12.50 avg60=1.00 avg300=0.10 total=5\n",
    "cpuinfo": "processor : 0\ncpu MHz\t\t: 2000.000\n\nprocessor : 1\ncpu MHz\t\t: 3000.000\n",
}


def write(proc: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / name).write_text(content)


class TestNoise:
    """What else the machine did while a run was recorded."""

    def test_start_end_and_worst_are_known(self, tmp_path: Path) -> None:
        write(tmp_path, PROC)
        meter = NoiseMeter(tmp_path)
        meter.sample()
        # 100 ticks on, 30 of them stolen; then 100 on, none of them.
        write(tmp_path, {"stat": "cpu  120 0 110 740 0 0 0 130 0 0\n", "loadavg": "9.0 1 1\n"})
        meter.sample()
        write(tmp_path, {"stat": "cpu  160 0 130 780 0 0 0 130 0 0\n", "loadavg": "2.0 1 1\n"})
        meter.sample()

        noise = meter.noise()

        assert noise is not None
        assert (noise.load_start, noise.load_end, noise.load_worst) == (1.5, 2.0, 9.0)
        assert (noise.steal_start, noise.steal_end, noise.steal_worst) == (0.3, 0.0, 0.3)
        assert noise.pressure_worst == 0.125
        assert noise.frequency_mhz_worst == 2500
        assert noise.processors

    def test_a_sample_right_after_another_takes_no_share_of_its_own(self, tmp_path: Path) -> None:
        write(tmp_path, PROC)
        meter = NoiseMeter(tmp_path)
        # 100 ticks on, 1 of them stolen; then 1 tick alone, which was; then the rest of 100.
        write(tmp_path, {"stat": "cpu  120 0 110 769 0 0 0 101 0 0\n"})
        meter.sample()
        write(tmp_path, {"stat": "cpu  120 0 110 769 0 0 0 102 0 0\n"})
        meter.sample()
        right_after = meter.noise()
        write(tmp_path, {"stat": "cpu  120 0 110 848 0 0 0 122 0 0\n"})
        meter.sample()

        assert right_after is not None
        assert (right_after.steal_end, right_after.steal_worst) == (0.01, 0.01)
        later = meter.noise()
        assert later is not None
        assert (later.steal_start, later.steal_end, later.steal_worst) == (0.01, 0.21, 0.21)

    def test_the_time_of_many_processors_passes_faster(self, tmp_path: Path) -> None:
        each = "".join(f"cpu{number} 0 0 0 0 0 0 0 0 0 0\n" for number in range(4))
        write(tmp_path, PROC | {"stat": "cpu  100 0 100 700 0 0 0 100 0 0\n" + each})
        meter = NoiseMeter(tmp_path)
        # A quarter of a second of four.
        write(tmp_path, {"stat": "cpu  100 0 100 700 0 0 0 200 0 0\n"})
        meter.sample()

        noise = meter.noise()

        assert noise is not None
        assert noise.steal_worst is None

    def test_what_the_machine_does_not_say_is_none(self, tmp_path: Path) -> None:
        write(tmp_path, {"stat": "nonsense\n", "loadavg": "\n", "pressure/cpu": "some\n"})
        meter = NoiseMeter(tmp_path)
        meter.sample()

        noise = meter.noise()

        assert noise is not None
        assert (noise.load_worst, noise.steal_worst, noise.pressure_worst) == (None, None, None)

    def test_a_recorded_run_has_it(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path) as repository:
            with repository.run("run") as run:
                run.record("m", "S", 0.0, 1.0)

            noise = repository.get("run").noise
            rows = repository.query("SELECT processors, load_worst FROM v_machine_noise").rows

        assert noise is not None
        assert rows == [(noise.processors, noise.load_worst)]

    @pytest.mark.parametrize("flushed", [False, True])
    def test_a_recorder_that_dies_has_noted_it_with_its_first_flush(
        self, tmp_path: Path, *, flushed: bool
    ) -> None:
        with RunRepository.open(tmp_path) as repository:
            run = repository.run("run", flush_every_s=1000.0).__enter__()
            (journal,) = (tmp_path / ".staging").glob("*.journal")
            if flushed:
                run._recorder.flush()  # type: ignore[union-attr]

            written = load_journal(journal)
            assert written is not None
            assert (written.noise is not None) == flushed
            run.record("m", "S", 0.0, 1.0)
            run.__exit__(None, None, None)

    def test_a_flush_notes_it_again_where_the_worst_got_worse(self, tmp_path: Path) -> None:
        write(tmp_path, PROC)
        with RunRepository.in_memory() as repository, repository.run("run") as run:
            recorder = run._recorder
            assert recorder is not None
            recorder.stop_thread()
            meter = recorder._meter = NoiseMeter(tmp_path)
            frames: list[bytes] = []

            def write_frames(of_flush: Callable[[], Iterator[bytes]]) -> None:
                frames.extend(of_flush())

            recorder._write = write_frames  # type: ignore[assignment, method-assign]
            for load in ("1.50", "1.00", "9.00", "2.00"):
                write(tmp_path, {"loadavg": f"{load} 1 1\n"})
                meter.sample()
                recorder.flush()

            assert [frame[:1] for frame in frames] == [b"M", b"M"]
            assert b'"load_worst":9.0' in frames[1]

    @pytest.mark.parametrize(
        ("worst", "said"),
        [
            (Worst(steal=0.3), "30 % steal"),
            (Worst(steal=0.05), "5 % steal"),
            (Worst(pressure=0.4), "40 % waiting for processors"),
            (Worst(load=2.5), "a load of 2.5 for each processor"),
            (Worst(steal=0.04, pressure=0.24, load=1.9), None),
            (Worst(), None),
        ],
    )
    def test_a_comparison_and_a_verdict_warn_of_it(self, worst: Worst, said: str | None) -> None:
        of_candidate = {f"candidate_{name}": value for name, value in worst._asdict().items()}
        compared = Comparison("a", "b", (), **of_candidate)
        runs = verdict_runs.of_medians(0, [4.0, 4.0])
        sides = verdict_runs.sides(runs[:1], [runs[1]._replace(worst=worst)])

        warned = [warning for warning in sides.warnings() if " ran with " in warning]

        assert compared.warnings == ((f"the candidate ran with {said}",) if said else ())
        assert warned == ([f"run_001 ran with {said}"] if said else [])

    def test_stored_noise_is_warned_of(self, tmp_path: Path) -> None:
        write(tmp_path / "proc", PROC)
        with RunRepository.open(tmp_path / "results") as repository:
            repository.save("quiet", recorded(40))
            with repository.run("noisy") as run:
                for one in recorded(40).measurements:
                    run.record(one.metric_type, one.satellite_id, 0.0, one.duration_ms)
                recorder = run._recorder
                assert recorder is not None
                recorder.stop_thread()
                recorder._meter = NoiseMeter(tmp_path / "proc")
                stat = "cpu  120 0 110 740 0 0 0 130 0 0\n"
                write(tmp_path / "proc", {"stat": stat, "loadavg": "4000 1 1\n"})

            compared = repository.compare("quiet", "noisy")
            judged = repository.gate("noisy", baseline="quiet")
            defined = compare(repository.get("quiet"), repository.get("noisy"))

        assert compared.candidate_steal == 0.3
        assert compared.warnings[0] == "the candidate ran with 30 % steal"
        assert compared.warnings[1].startswith("the candidate ran with a load of ")
        assert compared == defined
        assert "noisy ran with 30 % steal" in judged.warnings

    def test_a_run_that_is_saved_at_once_has_none(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path) as repository:
            assert repository.save("run", recorded(5)).noise is None

    def test_show_prints_it(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path) as repository, repository.run("run") as run:
            run.record("m", "S", 0.0, 1.0)

        shown = CliRunner().invoke(main, ["show", "run", "--results", str(tmp_path)])

        assert "load average" in shown.stdout


def test_noise_is_a_plain_value() -> None:
    assert MachineNoise(load_worst=1.0) == MachineNoise(load_worst=1.0)
