"""Old files that editors, copies and other systems have touched, where nothing is ambiguous."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest
import reference

from astraguard_store import ArtifactReadError, RunRepository
from astraguard_store.formats.csv import HEADER, parse_csv

HEAD = HEADER.decode()
ROW = "1790000000.5,fault_detection,SAT001,2.5,0.1\r\n"
TOUCHED: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda content: codecs.BOM_UTF8 + content,
    "a blank last line": lambda content: content + b"\r\n",
    "blank last lines": lambda content: content + b"\n\n\r\n",
    "CR CR LF": lambda content: content.replace(b"\r\n", b"\r\r\n"),
    "LF alone": lambda content: content.replace(b"\r\n", b"\n"),
    "control-Z": lambda content: content + b"\x1a",
    "a line of blanks": lambda content: content + b" \t \r\n",
    "a line of commas": lambda content: content + b",,,,\r\n",
    "a blank first line": lambda content: b"\r\n" + content,
    "control-Z and a line end": lambda content: content + b"\x1a\r\n",
}
touched = pytest.mark.parametrize("touch", TOUCHED.values(), ids=TOUCHED)


@touched
@pytest.mark.parametrize("rows", [10, 5_000])
def test_the_measurements_of_such_a_run_are_read(
    tmp_path: Path, touch: Callable[[bytes], bytes], rows: int
) -> None:
    measured = [
        (1_790_000_000.5 + i / 10, "fault_detection", "SAT001", 2.0 + i % 5, i / 10)
        for i in range(rows)
    ]
    for run_id in ("plain", "old"):
        reference.write_old_run(tmp_path, run_id, measured)
    path = tmp_path / "old" / "latency_raw.csv"
    path.write_bytes(touch(path.read_bytes()))

    with RunRepository.open(tmp_path) as repository:
        fixed = repository.check(fix=True)
        found, plain = repository.measurements("old"), repository.measurements("plain")

    assert fixed.is_sound
    assert found.equals(plain)


@pytest.mark.parametrize(
    "touch",
    [
        lambda content: codecs.BOM_UTF8 + content,
        lambda content: content + b"\r\n\x1a\r\n",
    ],
    ids=["a byte order mark", "control-Z"],
)
def test_such_a_summary_is_read(tmp_path: Path, touch: Callable[[bytes], bytes]) -> None:
    reference.write_old_run(tmp_path, "old")
    path = tmp_path / "old" / "latency_summary.json"
    path.write_bytes(touch(path.read_bytes()))

    with RunRepository.open(tmp_path) as repository:
        assert repository.get("old").total_measurements > 0


@pytest.mark.parametrize(("encoding", "named"), [("utf-16", "UTF-16"), ("latin1", "LATIN1")])
def test_a_file_in_another_encoding_is_to_be_converted(
    tmp_path: Path, encoding: str, named: str
) -> None:
    reference.write_old_run(tmp_path / "old", "old")
    path = tmp_path / "old" / "old" / "latency_raw.csv"
    path.write_bytes((HEAD + ROW.replace("SAT", "Säuler")).encode(encoding))

    with RunRepository.open(tmp_path / "store") as repository:
        report = repository.import_runs([tmp_path / "old"])

    [(_, reason)] = report.refused
    assert f"iconv -f {named} -t UTF-8" in reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            ROW + "1790000000.5,fault_detection\r\n",
            "line 3 is no measurement: it has 2 fields, not 5",
        ),
        (ROW.replace("2.5", "fast"), "line 2 is no measurement: duration_ms is 'fast', no number"),
        ("\x1a\r\n" + ROW, "a row follows control-Z"),
    ],
)
def test_what_is_ambiguous_is_named(text: str, words: str) -> None:
    with pytest.raises(ArtifactReadError, match=words):
        parse_csv((HEAD + text).splitlines(keepends=True))
