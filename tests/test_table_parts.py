"""Files that are read part by part: what lies on a cut, and what isn't known by a name."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command_line import save_run, stored_rows
from hypothesis import given
from hypothesis import strategies as st

from astraguard_store import InvalidRunError, RunRepository
from astraguard_store.formats.arrow_stream import arrow_batches
from astraguard_store.formats.text_parts import csv_frames, json_frames

ROWS: dict[str, list[Any]] = {
    "timestamp": [1.7e9, 1.7e9 + 1],
    "metric_type": ["recovery", "recovery"],
    "satellite_id": ["SAT1", "SAT2"],
    "duration_ms": [1.5, 2.5],
    "scenario_time_s": [0.0, 1.0],
}
STORED = [("recovery", "SAT1", 1.5, 0.0, False), ("recovery", "SAT2", 2.5, 1.0, False)]


class ShortReads(io.BytesIO):
    """A file of which some bytes come at a time, as of a pipe."""

    def __init__(self, content: bytes, most: int) -> None:
        super().__init__(content)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        """Give some bytes."""
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


class Stream(io.BytesIO):
    """A file that fails where it is read whole."""

    def read(self, size: int | None = -1) -> bytes:
        """Give so many bytes."""
        assert size is not None
        assert size >= 0
        return super().read(size)


def written(frame: pl.DataFrame, method: str) -> bytes:
    """Give a frame as a file."""
    file = io.BytesIO()
    getattr(frame, method)(file)
    return file.getvalue()


class TestText:
    """CSV and lines of JSON."""

    @given(
        rows=st.lists(
            st.tuples(st.text("ab\",;\r\n é'", min_size=1), st.text('x\n"y', min_size=1)),
            min_size=1,
        ),
        most=st.integers(1, 30),
    )
    def test_a_row_that_is_cut_is_put_together(
        self, rows: list[tuple[str, str]], most: int
    ) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("a", "b"), *rows])

        frames = list(csv_frames(ShortReads(text.getvalue().encode(), most), ",", 1))

        assert [row for frame in frames for row in frame.rows()] == rows

    def test_a_row_with_too_many_values_is_named(self) -> None:
        file = ShortReads(b"a,b\n1,2\n\n3,4\n5,6,seven\n", 12)

        with pytest.raises(InvalidRunError, match=r"Row 3 \(the first is 1\).*'seven'"):
            list(csv_frames(file, ",", 1))

    def test_a_quote_that_nothing_closes_is_said(self) -> None:
        file = io.BytesIO(b'a,b\n1,2\n"3,4\n' + b"5,6\n" * 2**25)

        with pytest.raises(InvalidRunError, match="line 3 begins a row"):
            list(csv_frames(file, ",", 1))

    @given(most=st.integers(1, 200))
    def test_lines_of_json_may_be_cut(self, most: int) -> None:
        rows = [{"a": 1}, {"a": 2.5}, {"a": 3}]
        content = "\n\n".join(map(json.dumps, rows)).encode()

        frames = list(json_frames(ShortReads(content, most), 1))

        assert [value for frame in frames for value in frame["a"]] == [1, 2.5, 3]

    def test_a_line_of_a_later_part_is_named(self) -> None:
        file = ShortReads(b'{"a": 1}\n' * 5 + b'{"a": [3]}\n', 36)

        with pytest.raises(InvalidRunError, match=r"Row 6 .*\[3\] is a list"):
            list(json_frames(file, 1))


class TestArrow:
    """Streams of Arrow."""

    def test_its_batches_come_one_by_one(self) -> None:
        frame = pl.concat([pl.DataFrame({"a": [n, n + 1], "b": ["x", "é"]}) for n in range(3)])
        content = b"".join(
            written(frame.slice(2 * n, 2), "write_ipc_stream")[start:-8]
            for n, start in ((0, 0), (1, self.schema_bytes(frame)), (2, self.schema_bytes(frame)))
        )

        batches = list(arrow_batches(Stream(content)))

        assert [batch.height for batch in batches] == [2, 2, 2]
        assert pl.concat(batches).equals(frame)

    @staticmethod
    def schema_bytes(frame: pl.DataFrame) -> int:
        """Give how long the first message is, which says what the columns are."""
        content = written(frame, "write_ipc_stream")
        return 8 + int.from_bytes(content[4:8], "little")

    def test_names_may_come_in_a_dictionary(self) -> None:
        frame = pl.DataFrame({"a": pl.Series(["x", "y", "x"], dtype=pl.Categorical)})

        batches = list(arrow_batches(Stream(written(frame, "write_ipc_stream"))))

        assert pl.concat(batches)["a"].to_list() == ["x", "y", "x"]

    def test_one_that_is_cut_off_is_no_run(self, tmp_path: Path) -> None:
        content = written(pl.DataFrame(ROWS), "write_ipc_stream")

        done = save_run(tmp_path / "results", "-", standard_input=content[:-30])

        assert (done.exit_code, "ends too early" in done.stderr) == (2, True)


class TestKinds:
    """Files whose names don't say what they are."""

    @pytest.mark.parametrize(
        "method", ["write_csv", "write_ndjson", "write_parquet", "write_ipc", "write_ipc_stream"]
    )
    def test_what_is_piped_in_is_known_by_how_it_begins(self, method: str, tmp_path: Path) -> None:
        content = written(pl.DataFrame(ROWS), method)

        done = save_run(tmp_path / "results", "-", standard_input=content)

        assert done.exit_code == 0, done.stderr
        assert stored_rows(tmp_path / "results") == STORED

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (gzip.compress(b"duration_ms\n1\n", mtime=0), "zcat FILE"),
            (b'[\n  {"duration_ms": 1}\n]', "jq -c '.[]'"),
        ],
    )
    def test_what_is_to_be_unpacked_is_said(
        self, content: bytes, message: str, tmp_path: Path
    ) -> None:
        (tmp_path / "log.csv.gz").write_bytes(content)

        done = save_run(tmp_path / "results", str(tmp_path / "log.csv.gz"))

        assert (done.exit_code, message in done.stderr) == (2, True)


class TestRows:
    """Values that can't be stored, and where they are."""

    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            ({"satellite_id": ["SAT1", "S" * 5000]}, r"Row 1 .*satellite_id"),
            ({"metric_type": ["a", "b\0"]}, r"Row 1 .*metric_type"),
            ({"timestamp": ["1700000000", "yesterday"]}, r"Row 1 .*'yesterday' is no time"),
            ({"timestamp": ["2026-11-27", "1700000000"]}, r"Row 1 .*'1700000000' is no time"),
        ],
    )
    def test_a_row_is_named(self, frame: dict[str, Any], message: str) -> None:
        with (
            RunRepository.in_memory() as repository,
            pytest.raises(InvalidRunError, match=message),
        ):
            repository.save("run", pl.DataFrame({**ROWS, **frame}))

    def test_a_day_is_a_time(self, tmp_path: Path) -> None:
        content = "timestamp,duration_ms\n2026-11-27,1\n2026-11-28,2\n"
        words = ("-", "--metric", "a", "--satellite", "b")

        done = save_run(tmp_path / "results", *words, standard_input=content)

        assert done.exit_code == 0, done.stderr
        assert [row[3] for row in stored_rows(tmp_path / "results")] == [0.0, 86_400.0]

    @pytest.mark.parametrize(
        ("late", "message"),
        [
            ({}, "Row 200001 (the first is 1), column 'duration_ms': None"),
            ({"duration_ms": 1, "timestamp": 1.7e9}, "column 'timestamp': no row before has it"),
        ],
    )
    def test_a_late_line_of_json_has_the_columns_of_the_first(
        self, late: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        row = {"scenario_time_s": 0, "duration_ms": 4, "padding": "x" * 80}
        line = json.dumps(row) + "\n"
        (tmp_path / "log.jsonl").write_text(
            line * 200_000 + (json.dumps({"scenario_time_s": 1, **late}) + "\n") * 90_000
        )
        words = (str(tmp_path / "log.jsonl"), "--metric", "a", "--satellite", "b")

        done = save_run(tmp_path / "results", *words)

        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
