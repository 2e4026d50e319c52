"""Runs from any source: frames, files of other programs, and saves that are named."""

from __future__ import annotations

import codecs
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest
from command_line import save_run, stored_rows
from recordings import recorded

from astraguard_store import InvalidRunError, RunRepository

ROWS: dict[str, list[Any]] = {
    "metric_type": ["fault_detection", "recovery", "fault_detection"],
    "satellite_id": ["SAT1", "SAT1", "SAT2"],
    "duration_ms": [1.0, 2.5, 4.0],
    "scenario_time_s": [0.0, 1.0, 2.0],
    "missed": [False, True, False],
}


@pytest.fixture
def repository() -> Any:
    """Give a store in memory."""
    with RunRepository.in_memory(keep_measurements="database") as repository:
        yield repository


AS_STORED = [
    ("fault_detection", "SAT1", 1.0, 0.0, False),
    ("recovery", "SAT1", 2.5, 1.0, True),
    ("fault_detection", "SAT2", 4.0, 2.0, False),
]


class TestFrames:
    """Frames of polars, pandas and Arrow."""

    @pytest.mark.parametrize(
        "frame",
        [
            pl.DataFrame(ROWS),
            pd.DataFrame(ROWS),
            pl.DataFrame(ROWS).with_columns(pl.col("metric_type").cast(pl.Categorical)),
        ],
        ids=["polars", "pandas", "categories"],
    )
    def test_its_columns_are_found_by_name(self, frame: Any, repository: RunRepository) -> None:
        repository.save("run", frame)

        assert repository.measurements("run").drop("timestamp").rows() == AS_STORED

    def test_pandas_needs_no_pyarrow(
        self, repository: RunRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)

        repository.save("run", pd.DataFrame(ROWS))

        assert repository.measurements("run").drop("timestamp").rows() == AS_STORED

    def test_anything_that_hands_out_arrow_is_taken(self, repository: RunRepository) -> None:
        class Anybodys:
            def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
                return pl.DataFrame(ROWS).__arrow_c_stream__(requested_schema)

        assert repository.save("run", Anybodys()).total_measurements == 3

    def test_statistics_are_those_of_a_collector(self, repository: RunRepository) -> None:
        saved = repository.save("run", recorded(50))

        again = repository.save("again", repository.measurements("run"))

        assert (again.metrics, again.satellites) == (saved.metrics, saved.satellites)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"duration_ms": [1.0, -2.0, 3.0]}, "Row 1 .*'duration_ms': -2.0"),
            ({"duration_ms": [1.0, 2.0, float("nan")]}, "Row 2 .*'duration_ms': nan"),
            ({"duration_ms": ["1", "2", "fast"]}, "Row 2 .*'duration_ms': 'fast'"),
            ({"metric_type": ["a", None, "b"]}, "Row 1 .*'metric_type': None"),
            ({"satellite_id": [" ", "a", "b"]}, "Row 0 .*'satellite_id': ' '"),
            ({"missed": ["yes", "no", "maybe"]}, "Row 2 .*'missed': 'maybe'"),
            ({"timestamp": ["2026-11-27", "x", "y"]}, "'timestamp'"),
            ({"duration_ms": [[1.0], [2.0], [3.0]]}, "(?s)Row 0 .*'duration_ms': .*List.*numbers"),
            ({"duration_ms": [True, False, True]}, "Row 0 .*'duration_ms': True .*Boolean"),
            ({"duration_ms": [datetime(2026, 1, 1, tzinfo=UTC)] * 3}, "'duration_ms': .*Datetime"),
            ({"satellite_id": [{"a": 1}] * 3}, "Row 0 .*'satellite_id': .*Struct.*names are"),
            ({"timestamp": [time(1)] * 3}, "Row 0 .*'timestamp': .*Time.*times are"),
            ({"timestamp": [1.7e9, 1.7e12, 1.7e12]}, "Row 0 .*'timestamp': 1700000000.0 counts"),
            ({"timestamp": [1.7e9, 1e300, 1.7e9]}, "'timestamp': .* counts no unit"),
        ],
    )
    def test_an_error_names_column_and_row(
        self, changed: dict[str, Any], message: str, repository: RunRepository
    ) -> None:
        with pytest.raises(InvalidRunError, match=message):
            repository.save("run", pl.DataFrame({**ROWS, **changed}))

    def test_a_column_of_mixed_objects_names_the_row(self, repository: RunRepository) -> None:
        frame = pd.DataFrame({**ROWS, "duration_ms": [4.2, "x", 1.0]})

        with pytest.raises(InvalidRunError, match=r"Row 1 .*'duration_ms': 'x'"):
            repository.save("run", frame)

    def test_durations_are_taken_to_the_nanosecond(self, repository: RunRepository) -> None:
        short = pl.Series([1_500, 2_700, 3_000], dtype=pl.Duration("ns"))

        repository.save("run", pl.DataFrame({**ROWS, "duration_ms": short}))

        found = repository.measurements("run")["duration_ms"].to_list()
        assert found == pytest.approx([0.0015, 0.0027, 0.003], rel=1e-12)

    def test_a_missing_column_is_named(self, repository: RunRepository) -> None:
        frame = pl.DataFrame(ROWS).rename({"duration_ms": "delay"})

        with pytest.raises(InvalidRunError, match=r"no column 'duration_ms'; there are .*'delay'"):
            repository.save("run", frame)

    def test_an_empty_frame_is_refused(self, repository: RunRepository) -> None:
        with pytest.raises(InvalidRunError, match="No measurements"):
            repository.save("run", pl.DataFrame(ROWS).clear())

    @pytest.mark.parametrize(
        "times",
        [
            ["2026-11-27T04:00:00Z", "2026-11-27 04:00:01.5", "2026-11-27T05:00:02+01:00"],
            ["20261127T040000Z", "20261127T040001,5", "20261127T050002+0100"],
            ["2026-11-27 05:00:00,0+01:00", "2026-11-27 03:00:01.5-01", "2026-11-27t04:00:02z"],
            ["2026-11-27T04:00Z", "2026-11-27 04:00:01,5 Z", "2026-11-27 05:00:02 +0100"],
            ["2026-11-27 05:00 +0100", "20261127T040001.5Z", "20261126T200002-0800"],
            [1795752000, 1795752001.5, 1795752002],
            [1795752000_000, 1795752001_500, 1795752002_000],
            [1795752000_000_000, 1795752001_500_000, 1795752002_000_000],
            [1795752000_000_000_000, 1795752001_500_000_000, 1795752002_000_000_000],
        ],
        ids=["ISO", "compact", "comma", "spaces", "minutes", "s", "ms", "us", "ns"],
    )
    def test_times_are_taken_in_any_form(
        self, times: list[Any], repository: RunRepository
    ) -> None:
        frame = pl.DataFrame(ROWS).drop("scenario_time_s")

        repository.save("run", frame.with_columns(timestamp=pl.Series(times, strict=False)))

        found = repository.measurements("run")
        assert found["scenario_time_s"].to_list() == pytest.approx([0, 1.5, 2])
        assert found["timestamp"][0] == pytest.approx(1795752000)


class TestFiles:
    """`astraguard-store save`."""

    def test_a_csv(self, tmp_path: Path) -> None:
        pl.DataFrame(ROWS).write_csv(tmp_path / "log.csv")

        done = save_run(tmp_path / "results", str(tmp_path / "log.csv"))

        assert done.exit_code == 0, done.stderr
        assert stored_rows(tmp_path / "results") == AS_STORED

    @pytest.mark.parametrize(
        ("name", "write"),
        [
            ("log.parquet", pl.DataFrame.write_parquet),
            ("log.arrow", pl.DataFrame.write_ipc),
            ("log.jsonl", pl.DataFrame.write_ndjson),
        ],
    )
    def test_other_kinds(self, name: str, write: Any, tmp_path: Path) -> None:
        write(pl.DataFrame(ROWS), tmp_path / name)

        done = save_run(tmp_path / "results", str(tmp_path / name))

        assert done.exit_code == 0, done.stderr
        assert stored_rows(tmp_path / "results") == AS_STORED

    def test_other_names_units_commas_and_line_ends(self, tmp_path: Path) -> None:
        log = tmp_path / "labview.csv"
        log.write_bytes(
            "\ufefftime;what;sat;delay_us\r\n"
            "27.11;fault_detection;SAT1;1000,5\r\n"
            "28.11;fault_detection;SAT2;2000\r\n".encode()
        )

        done = save_run(
            tmp_path / "results",
            str(log),
            *("--column", "metric_type=what", "--column", "satellite_id=sat"),
            *("--column", "duration_ms=delay_us", "--unit", "us"),
            *("--column", "scenario_time_s=time", "--time-unit", "ms"),
        )

        assert done.exit_code == 0, done.stderr
        assert stored_rows(tmp_path / "results") == [
            ("fault_detection", "SAT1", pytest.approx(1.0005), pytest.approx(0.02711), False),
            ("fault_detection", "SAT2", 2.0, pytest.approx(0.02811), False),
        ]

    def test_standard_input_with_constants_tags_and_provenance(self, tmp_path: Path) -> None:
        done = save_run(
            tmp_path / "results",
            *("-", "--metric", "recovery", "--satellite", "SAT7", "--tag", "nightly=green"),
            *("--provenance", "rig=rig-7", "--provenance", "seed=7"),
            *("--units", "SAT7.serial=0042", "--json"),
            standard_input="duration_ms,scenario_time_s\n1.5,0\n2.5,1\n",
        )

        assert done.exit_code == 0, done.stderr
        shape = json.loads(done.stdout)
        assert (shape["tags"], shape["provenance"]["rig"]) == ({"nightly": "green"}, "rig-7")
        assert shape["provenance"]["units"]["SAT7"]["serial"] == "0042"
        assert shape["metrics"]["recovery"]["count"] == 2

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("duration_ms,scenario_time_s\n1,0\nfast,1\n", "Row 2 .*'duration_ms': 'fast'"),
            ("delay,scenario_time_s\n1,0\n", "no column 'duration_ms'"),
            (
                'duration_ms,scenario_time_s\n"1,234",0\n',
                "'duration_ms': '1,234' may be thousands",
            ),
            ("", "it is empty"),
            ("duration_ms,scenario_time_s\n1,0\n\nfast,1\n", "Row 2 .*'duration_ms': 'fast'"),
        ],
    )
    def test_an_error_is_one_line_that_says_what(
        self, content: str, message: str, tmp_path: Path
    ) -> None:
        (tmp_path / "log.csv").write_text(content)

        done = save_run(
            tmp_path / "results", str(tmp_path / "log.csv"), "--metric", "a", "--satellite", "b"
        )

        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(done.stderr)

    @pytest.mark.parametrize(
        "content",
        [
            b"duration_ms,scenario_time_s\n1,0\n\n2,1\n\n\n",
            b"duration_ms,scenario_time_s\r1,0\r2,1\r",
            b"\xef\xbb\xbfduration_ms;scenario_time_s\r\n1,0;0\r\n;\r\n2;1\r\n",
            "duration_ms\tscenario_time_s\r\n1\t0\r\n2\t1\r\n".encode("utf-16"),
            codecs.BOM_UTF16_BE + "duration_ms;scenario_time_s\n1;0\n2;1".encode("utf-16-be"),
            b"duration_ms,scenario_time_s\n1,0\n \t\n2,1\n \n",
            b"duration_ms,scenario_time_s\r\n1,0\r\n2,1\r\n\x1a",
        ],
        ids=["blank lines", "CR", "empty cells", "UTF-16", "UTF-16BE", "blanks", "control-Z"],
    )
    def test_text_of_other_programs_is_read(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "log.csv").write_bytes(content)
        names = ("--metric", "a", "--satellite", "b")

        done = save_run(tmp_path / "results", str(tmp_path / "log.csv"), *names)

        assert done.exit_code == 0, done.stderr
        assert stored_rows(tmp_path / "results") == [
            ("a", "b", 1.0, 0.0, False),
            ("a", "b", 2.0, 1.0, False),
        ]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("delay_µs,scenario_time_s\n1,0\n".encode("latin-1"), "not in UTF-8. Convert it, as"),
            (b"duration_ms,s\n" + b"1,0\n" * 90_000 + b"1,\xb5\n", "not in UTF-8. Convert it"),
            ("duration_ms,s\n1,0\n".encode("utf-16-le"), "UTF-16 without a mark. Convert it"),
        ],
        ids=["Latin-1 name", "Latin-1 late", "UTF-16 without a mark"],
    )
    def test_text_that_is_not_read_is_to_be_converted(
        self, content: bytes, message: str, tmp_path: Path
    ) -> None:
        (tmp_path / "log.csv").write_bytes(content)

        done = save_run(tmp_path / "results", str(tmp_path / "log.csv"))

        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
        assert message in done.stderr

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ("1,0\n\n2,1,7\n", "Row 2 (the first is 1) has 3 values for the 2 names in the first"),
            ('1,0\n2,"1\n3,2\n', "Row 2 (the first is 1), column 'scenario_time_s': a quote is"),
            ('1,0\n"2,1\n' + "3,2\n" * 50_000, "Row 2 (the first is 1): a quote is opened"),
        ],
        ids=["too many", "quote", "quote far above"],
    )
    def test_a_row_of_a_csv_that_is_none_is_named(
        self, rows: str, message: str, tmp_path: Path
    ) -> None:
        (tmp_path / "log.csv").write_text(f"duration_ms,scenario_time_s\n{rows}")
        names = ("--metric", "a", "--satellite", "b")

        done = save_run(tmp_path / "results", str(tmp_path / "log.csv"), *names)

        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
        assert message in done.stderr

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (
                '{"duration_ms": true}',
                "Row 2 (the first is 1), column 'duration_ms': True is a truth",
            ),
            (
                '{"duration_ms": [1]}',
                "Row 2 (the first is 1), column 'duration_ms': [1] is a list",
            ),
            ('{"duration_ms": "fast"}', "Row 2 (the first is 1), column 'duration_ms': 'fast'"),
            ('{"duration_ms": NaN}', "Row 2 (the first is 1), column 'duration_ms': NaN is no"),
            ("[1, 2]", "Row 2 (the first is 1) is no JSON object: [1, 2]"),
            ('{"duration_ms":', "Row 2 (the first is 1) is no JSON: "),
        ],
    )
    def test_lines_of_json_name_the_row(self, line: str, message: str, tmp_path: Path) -> None:
        row = '{"metric_type": "a", "satellite_id": "b", "scenario_time_s": 0, "duration_ms": 4}'
        content = f"{row}\n\n{line}\n{row}\n"
        words = ("--format", "jsonl", "--metric", "a", "--satellite", "b")

        done = save_run(tmp_path / "results", "-", *words, standard_input=content)

        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
        assert message in done.stderr

    def test_rows_are_numbered_in_each_file(self, tmp_path: Path) -> None:
        for name, second in (("a.csv", "2"), ("b.csv", "fast")):
            (tmp_path / name).write_text(f"duration_ms,scenario_time_s\n1,0\n{second},1\n")
        files = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]

        done = save_run(tmp_path / "results", *files, "--metric", "a", "--satellite", "b")

        assert "b.csv: Row 2 (the first is 1)" in done.stderr

    def test_lines_of_json_may_have_a_mark_and_fractions_late(self, tmp_path: Path) -> None:
        row = {"metric_type": "a", "satellite_id": "b", "scenario_time_s": 0}
        rows = [{**row, "duration_ms": 4}] * 11_000 + [{**row, "duration_ms": 4.75}]
        content = b"\xef\xbb\xbf" + "\n".join(map(json.dumps, rows)).encode()

        done = save_run(tmp_path / "results", "-", "--format", "jsonl", standard_input=content)

        assert done.exit_code == 0, done.stderr
        assert stored_rows(tmp_path / "results")[-1][2] == 4.75

    def test_a_stream_of_arrow_comes_through_a_pipe(self, tmp_path: Path) -> None:
        stream = io.BytesIO()
        pl.DataFrame(ROWS).write_ipc_stream(stream)

        done = save_run(
            tmp_path / "results", "-", "--format", "arrow", standard_input=stream.getvalue()
        )

        assert done.exit_code == 0, done.stderr
        assert len(stored_rows(tmp_path / "results")) == 3

    def test_a_full_temporary_folder_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "log.csv").write_text("duration_ms,scenario_time_s\n" + "1,0\n" * 200_000)
        words = ["save", "run", "log.csv", "--metric", "a", "--satellite", "b"]
        limited = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (2_000_000,) * 2); "
        code = limited + f"from astraguard_store.cli import main; main({words})"

        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )

        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "name a folder with room by TMPDIR" in done.stderr

    def test_a_file_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        done = save_run(tmp_path / "results", str(tmp_path / "none.csv"))

        assert (done.exit_code, "no such file" in done.stderr) == (2, True)

    def test_a_pipe_is_to_come_by_standard_input(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.csv")

        done = save_run(tmp_path / "results", str(tmp_path / "pipe.csv"))

        assert (done.exit_code, "no regular file; give `-`" in done.stderr) == (2, True)

    def test_a_long_file_comes_in_batches(self, tmp_path: Path) -> None:
        rows = 600_000
        frame = pl.select(
            metric_type=pl.lit("m"),
            satellite_id=pl.int_range(rows) % 5,
            duration_ms=(pl.int_range(rows) % 1000) / 10,
            scenario_time_s=pl.int_range(rows) / 10,
        )
        frame.write_csv(tmp_path / "log.csv")

        done = save_run(tmp_path / "results", str(tmp_path / "log.csv"))

        assert done.exit_code == 0, done.stderr
        with RunRepository.open(tmp_path / "results") as repository:
            found = repository.measurements("run")
        assert found["duration_ms"].equals(frame["duration_ms"])


class TestSaveId:
    """Saves that are named: a retry is no second save."""

    def test_the_same_again_is_one_save(self, repository: RunRepository) -> None:
        collector = recorded(5)
        first = repository.save("run", collector, save_id="job 7")

        again = repository.save("run", collector, save_id="job 7")

        assert (again.revision, again.save_id) == (1, "job 7")
        assert again == first

    def test_labels_in_another_order_are_the_same(self, repository: RunRepository) -> None:
        frame = pl.DataFrame({**ROWS, "timestamp": [1795752000.0] * 3})
        repository.save("run", frame, save_id="job 7")
        measurements = repository.measurements("run")

        assert repository.save("run", measurements, save_id="job 7").revision == 1

    def test_without_timestamps_the_same_rows_are_the_same(
        self, repository: RunRepository
    ) -> None:
        repository.save("run", pl.DataFrame(ROWS), save_id="job 7")

        assert repository.save("run", pl.DataFrame(ROWS), save_id="job 7").revision == 1
        with pytest.raises(InvalidRunError, match="other measurements"):
            repository.save("run", pl.DataFrame(ROWS).head(2), save_id="job 7")

    def test_a_job_that_runs_twice_measures_at_another_time(
        self, repository: RunRepository
    ) -> None:
        for _ in range(2):
            repository.save("run", recorded(5), save_id="job 7")

        assert repository.get("run").revision == 1

    def test_other_measurements_are_refused(self, repository: RunRepository) -> None:
        repository.save("run", recorded(5), save_id="job 7")

        with pytest.raises(InvalidRunError, match=r"'job 7'.*other measurements"):
            repository.save("run", recorded(6), save_id="job 7")

        assert repository.get("run").revision == 1

    def test_another_run_is_refused(self, repository: RunRepository) -> None:
        repository.save("run", recorded(5), save_id="job 7")

        with pytest.raises(InvalidRunError, match="names a save of run 'run'"):
            repository.save("other", recorded(5), save_id="job 7")

    def test_another_name_is_another_save(self, repository: RunRepository) -> None:
        collector = recorded(5)
        repository.save("run", collector, save_id="job 7")

        assert repository.save("run", collector, save_id="job 8").revision == 2

    def test_processes_that_save_it_at_a_time_save_it_once(self, tmp_path: Path) -> None:
        pl.DataFrame({**ROWS, "timestamp": [1795752000.0] * 3}).write_csv(tmp_path / "log.csv")
        results = tmp_path / "results"
        RunRepository.open(results).close()
        command = [sys.executable, "-m", "astraguard_store", "save", "run"]
        command += [str(tmp_path / "log.csv"), "--save-id", "job 7", "--results", str(results)]

        savers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
        codes = [saver.wait(60) for saver in savers]
        for saver in savers:
            assert saver.stdout is not None
            saver.stdout.close()

        with RunRepository.open(results) as repository:
            assert repository.get("run").revision == 1
            assert repository.check().is_sound
        assert codes == [0, 0, 0]
