"""What the fuzzers found worth keeping, and what nobody sane would put into a results folder.

`python -m tests.fuzz` looks for more; here nothing is random, and atheris is not needed.
"""

import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import reference

pytest.register_assert_rewrite("fuzz.targets")

from fuzz.json_mutation import changed_document  # noqa: E402 - registered before
from fuzz.targets import TARGET_NAMES, Targets  # noqa: E402

from astraguard_store import RunRepository  # noqa: E402
from astraguard_store.artifacts.reader import (  # noqa: E402
    last_measured_us,
    read_columns,
    read_run,
)
from astraguard_store.checks import check_run_id  # noqa: E402
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError  # noqa: E402
from astraguard_store.formats.csv import HEADER  # noqa: E402

PROJECT = Path(__file__).parent.parent
CORPUS = PROJECT / "tests" / "fuzz" / "corpus"
CORPUS_FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())
SEEDS = [path for path in CORPUS_FILES if path.name.startswith("seed-")]
MOST_CORPUS_BYTES = 200_000

GIGABYTE = 2**30
# What a refusal may take: messages, file objects, a read buffer.
FEW_BYTES = 2**20

NUMBERS = dict.fromkeys(("count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "min_ms"), 1)
ROW = b"1700000000.5,fault_detection,SAT001,1.5,0.25\r\n"


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    """Give the targets, a folder and a database in memory for all tests here."""
    targets = Targets(tmp_path_factory.mktemp("fuzz"))
    yield targets
    targets.close()


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name[:16]}"


def summary(**changed: Any) -> bytes:
    """Return a small summary file that is accepted, as changed."""
    document = {"total_measurements": 1, "stats": {"a": NUMBERS}, "stats_by_satellite": {}}
    return json.dumps(document | changed).encode()


def with_mean(token: str) -> bytes:
    return summary(stats={"a": NUMBERS | {"mean_ms": "HERE"}}).replace(b'"HERE"', token.encode())


def with_count(token: str) -> bytes:
    return summary(stats={"a": NUMBERS | {"count": "HERE"}}).replace(b'"HERE"', token.encode())


def sparse(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


@contextmanager
def at_most(held: int) -> Iterator[None]:
    """Fail if Python held more than so many bytes at a time."""
    tracemalloc.start()
    try:
        yield
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < held


class TestCorpus:
    """The inputs that the fuzzers kept."""

    @pytest.mark.parametrize("path", CORPUS_FILES, ids=named)
    def test_what_the_fuzzers_kept_breaks_no_promise(self, targets: Targets, path: Path) -> None:
        target = targets.named(path.parent.name)

        target(path.read_bytes())

    @pytest.mark.parametrize("path", SEEDS, ids=named)
    def test_a_seed_is_accepted(self, targets: Targets, path: Path) -> None:
        target = targets.named(path.parent.name)

        assert target(path.read_bytes())

    def test_every_target_has_a_corpus(self) -> None:
        assert {path.parent.name for path in SEEDS} == set(TARGET_NAMES)

    def test_the_corpus_stays_small(self) -> None:
        assert sum(path.stat().st_size for path in CORPUS_FILES) < MOST_CORPUS_BYTES


REFUSED_SUMMARIES = {
    "empty": b"",
    "a NUL": b"\0",
    "noise": bytes(range(256)),
    "100,000 open brackets": b"[" * 100_000,
    "100,000 closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "500 lists for a count": summary(total_measurements="HERE").replace(
        b'"HERE"', b"[" * 500 + b"]" * 500
    ),
    "a list": b"[]",
    "a string": b'"stats"',
    "nothing in it": b"{}",
    "no total": b'{"stats": {}}',
    "no stats": b'{"total_measurements": 1}',
    "two documents": summary() * 2,
    "UTF-16": summary().decode().encode("utf-16"),
    "UTF-16 without BOM": summary().decode().encode("utf-16-le"),
    "UTF-32": summary().decode().encode("utf-32"),
    "Latin-1": summary(note="HERE").replace(b"HERE", b"\xe4"),
    "another run": summary(run_id="another"),
    "run id of another type": summary(run_id=["run"]),
    "NaN": with_mean("NaN"),
    "Infinity": with_mean("Infinity"),
    "-Infinity": with_mean("-Infinity"),
    "1e400": with_mean("1e400"),
    "-1e400": with_mean("-1e400"),
    "5,000 digits": with_mean("1" * 5_000),
    "5,000 digits for a count": with_count("1" * 5_000),
    "300 digits for a count": with_count("1" * 300),
    "a count of 2^63": with_count(str(2**63)),
    "a count of 2^64": with_count(str(2**64)),
    "a negative count": with_count("-1"),
    "a count of zero": with_count("0"),
    "half a count": with_count("1.5"),
    "a count that is a float": with_count("1.0"),
    "a count that is true": with_count("true"),
    "a mean that is true": with_mean("true"),
    "a mean that is null": with_mean("null"),
    "a mean that is a string": with_mean('"1.5"'),
    "a mean that is a list": with_mean("[1.5]"),
    "a negative mean": with_mean("-1e-300"),
    "a comma at the end": summary()[:-1] + b",}",
    "a comment": summary() + b"// ",
    "stats null": summary(stats=None),
    "stats a list": summary(stats=[NUMBERS]),
    "satellites null": summary(stats_by_satellite=None),
    "a satellite null": summary(stats_by_satellite={"S": None}),
    "a satellite without numbers": summary(stats_by_satellite={"S": {"a": {}}}),
    "a metric null": summary(stats={"a": None}),
    "an empty name": summary(stats={"": NUMBERS}),
    "a long name": summary(stats={"x" * 256: NUMBERS}),
    "a NUL in a name": summary(stats={"a\0b": NUMBERS}),
    "a lone high surrogate": summary(stats={"\ud800": NUMBERS}),
    "a lone low surrogate": summary(stats={"\udfff": NUMBERS}),
    "surrogates in the wrong order": summary(stats={"\udc00\ud800": NUMBERS}),
    "an encoded surrogate": summary(stats={"HERE": NUMBERS}).replace(b"HERE", b"\xed\xa0\x80"),
}

ACCEPTED_SUMMARIES = {
    "duplicate keys": b'{"stats": 1, "total_measurements": 2, ' + summary()[1:],
    "duplicate metrics": with_mean('1, "mean_ms": 2'),
    "308 digits": with_mean("1" * 308),
    "the largest double": with_mean("1.7976931348623157e308"),
    "the smallest double": with_mean("5e-324"),
    "less than the smallest double": with_mean("1e-400"),
    "minus zero": with_mean("-0.0"),
    "the largest count": with_count(str(2**63 - 1)),
    "100,000 spaces": b" " * 100_000 + summary() + b"\n" * 100_000,
    "a timestamp of the year 1": summary(timestamp="0001-01-01T00:00:00+14:00"),
    "a timestamp of the year 9999": summary(timestamp="9999-12-31T23:59:59.999999-14:00"),
    "a timestamp that is a number": summary(timestamp=1e300),
    "names that look alike": summary(stats={"ä": NUMBERS, "a\u0308": NUMBERS, "Ä": NUMBERS}),
    "a pair of surrogates": summary(stats={"🛰": NUMBERS}),
    "names of SQL": summary(stats={"'; DROP TABLE runs; --": NUMBERS, "%_": NUMBERS}),
    "5,000 satellites": summary(
        stats_by_satellite={f"S{number}": {"a": NUMBERS} for number in range(5_000)}
    ),
}


class TestSummaryFile:
    """`latency_summary.json`, written by somebody else."""

    @pytest.mark.parametrize("content", REFUSED_SUMMARIES.values(), ids=REFUSED_SUMMARIES)
    def test_damage_is_refused(self, targets: Targets, content: bytes) -> None:
        assert not targets.summary(content)

    @pytest.mark.parametrize("content", ACCEPTED_SUMMARIES.values(), ids=ACCEPTED_SUMMARIES)
    def test_what_is_odd_but_right_is_stored_as_it_is(
        self, targets: Targets, content: bytes
    ) -> None:
        assert targets.summary(content)

    def test_it_is_refused_wherever_it_is_cut_off(self, targets: Targets) -> None:
        whole = summary(stats_by_satellite={"S": {"ä": NUMBERS}})

        accepted = [length for length in range(len(whole)) if targets.summary(whole[:length])]

        assert accepted == []

    @pytest.mark.parametrize(
        "key", ["total_measurements", "stats", "run_id", "stats_by_satellite"]
    )
    def test_as_deep_as_json_may_be_is_refused(self, targets: Targets, key: str) -> None:
        deep = b"[" * 1_020 + b"]" * 1_020

        assert not targets.summary(summary(**{key: "HERE"}).replace(b'"HERE"', deep))

    def test_a_satellite_without_measurements_is_refused_or_kept(self, targets: Targets) -> None:
        targets.summary(summary(stats_by_satellite={"S": {}}))

    def test_a_gigabyte_is_refused_by_its_size(self, results: Path) -> None:
        sparse(results / "run" / reference.SUMMARY, GIGABYTE)

        with at_most(FEW_BYTES), pytest.raises(ArtifactReadError, match=f"{GIGABYTE} bytes"):
            read_run(results, "run")

    def test_a_gigabyte_keeps_no_other_run_from_being_adopted(self, old_tree: Path) -> None:
        sparse(old_tree / "huge" / reference.SUMMARY, GIGABYTE)

        with RunRepository.open(old_tree) as repository:
            report = repository.import_legacy()
            adopted = {header.run_id for header in repository.recent()}

        assert [run_id for run_id, _ in report.refused] == ["huge"]
        assert adopted == {"wc-s2-60s", "wc-s2-60s-10hz-1"}

    def test_a_file_time_that_no_date_can_hold_is_refused(self) -> None:
        if not os.path.isdir("/dev/shm"):
            pytest.skip("needs a file system with 64-bit times")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            path = Path(folder, "run", reference.SUMMARY)
            path.parent.mkdir()
            path.write_bytes(summary())
            os.utime(path, (300_000_000_000, 300_000_000_000))

            with pytest.raises(ArtifactReadError):
                read_run(Path(folder), "run")


REFUSED_ROWS = {
    "a NUL": b"\0",
    "UTF-16": (HEADER + ROW).decode().encode("utf-16"),
    "another header": b"time,metric,satellite,duration,scenario\r\n" + ROW,
    "the header twice": HEADER + HEADER + ROW,
    "four fields": b"1,a,S,1\r\n",
    "six fields": b"1,a,S,1,1,1\r\n",
    "NaN": b"1,a,S,nan,1\r\n",
    "Infinity": b"1,a,S,Infinity,1\r\n",
    "1e400": b"1,a,S,1e400,1\r\n",
    "5,000 digits": b"1,a,S," + b"1" * 5_000 + b",1\r\n",
    "negative": b"1,a,S,-1,1\r\n",
    "hexadecimal": b"1,a,S,0x1p3,1\r\n",
    "no number": b"1,a,S,,1\r\n",
    "an empty name": b"1,,S,1,1\r\n",
    "a long name": b"1," + b"[" * 100_000 + b",S,1,1\r\n",
    "a field of 500 kB": b"1," + b"x" * 500_000 + b",S,1,1\r\n",
    "a NUL in a name": b"1,a\0b,S,1,1\r\n",
    "an encoded surrogate": b"1,\xed\xa0\x80,S,1,1\r\n",
    "Latin-1": b"1,\xe4,S,1,1\r\n",
    "a quote that never ends": b'1,"a,S,1,1\r\n' + ROW * 100,
    "text after a quote": b'1,"a"b,S,1,1\r\n',
    "a CR in the middle": b"1,a\rb,S,1,1\r\n",
}

ACCEPTED_ROWS = {
    "line ends in names": b'1,"a\r\nb","\n\r",1,1\r\n',
    "formulas": b"1,=a,'=a,1,1\r\n1,''=a,@b,1,1\r\n1,a,-,1,1\r\n",
    "numbers on the edge": b"-1e308,a,S,5e-324,1.7976931348623157e308\r\n-0.0,a,S,-0.0,1e16\r\n",
    "numbers written oddly": "1_0,a,S, +1.50 ,٣\r\n".encode(),
    "LF only": ROW.replace(b"\r\n", b"\n") * 3,
    "no end of the last line": ROW + ROW[:-2],
    "many rows, some odd": (ROW + b"1e-7,a,S,2e16,3e-5\r\n") * 3_000,
}


class TestRawFile:
    """`latency_raw.csv`, written by somebody else."""

    @pytest.mark.parametrize("content", REFUSED_ROWS.values(), ids=REFUSED_ROWS)
    def test_damage_is_refused(self, targets: Targets, content: bytes) -> None:
        assert not targets.csv(content)

    @pytest.mark.parametrize("content", ACCEPTED_ROWS.values(), ids=ACCEPTED_ROWS)
    def test_what_is_odd_but_right_gives_the_same_rows_again(
        self, targets: Targets, content: bytes
    ) -> None:
        assert targets.csv(content)

    def test_the_longest_formula_can_be_read_again(self, targets: Targets) -> None:
        assert targets.csv(b"1,=" + b"x" * 254 + b",S,1,1\r\n")

    def test_a_file_without_line_ends_is_refused_before_it_is_read(self, results: Path) -> None:
        # A gigabyte would take 2 GB and 8 s, and show nothing more.
        path = sparse(results / "run" / reference.RAW, 32 * FEW_BYTES)

        with at_most(4 * FEW_BYTES), pytest.raises(ArtifactReadError):
            read_columns(path)


class TestLastRow:
    """The time of a CSV's last row, whatever is in it."""

    @pytest.mark.parametrize(
        "content",
        [*REFUSED_ROWS.values(), *ACCEPTED_ROWS.values()],
        ids=[*REFUSED_ROWS, *ACCEPTED_ROWS],
    )
    def test_damage_gives_a_time_of_a_run_or_none(self, targets: Targets, content: bytes) -> None:
        for damaged in (content, content[:-1], content + ROW, content + ROW[:20]):
            targets.last_row(damaged)

    def test_the_last_whole_row_counts_wherever_the_next_is_cut_off(
        self, targets: Targets
    ) -> None:
        found = [targets.last_row(HEADER + ROW + ROW[:length]) for length in range(len(ROW))]

        assert all(found)

    def test_of_a_gigabyte_only_the_end_is_read(self, results: Path) -> None:
        path = sparse(results / "run" / reference.RAW, GIGABYTE)
        with path.open("ab") as file:
            file.write(b"\r\n" + ROW)

        with at_most(FEW_BYTES):
            time_us = last_measured_us(results, "run")

        assert time_us == 1_700_000_000_500_000


REFUSED_NAMES = [
    *(
        "",
        " ",
        ".",
        "..",
        "../a",
        "a/../b",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:\\a",
        "\\\\server\\a",
    ),
    *(
        "a\0",
        "\0",
        "a\n",
        "a\r\nb",
        "\t",
        "\x1b[2J",
        "\x7f",
        "\u2028",
        "\u202eexe",
        "\u200b",
        "\ufeff",
    ),
    *("\ud800", "\udfff", "a\udcff", "\ud83d\udef0", "a\u0308", "\u212b", "\uac00\u11a8"),
    *("x" * 129, "x" * 100_000, "ä" * 128, "衛" * 67, "🛰"),
    *("con", "CON.txt", "nul.tar.gz", "Com1", "lpt¹", "a.", "a ", " a", ".staging", ".STAGING"),
    *("astraguard.db", "ASTRAGUARD.DB-wal", "astraguard.db.lock", "a<b", "a|b", 'a"b', "a?", "a*"),
]

ACCEPTED_NAMES = [
    "a",
    ".a",
    "-",
    "--help",
    "~",
    "a~0123456789abcdef",
    "$HOME",
    "x" * 128,
    "衛" * 66,
]


class TestRunId:
    """Names that become folders."""

    @pytest.mark.parametrize("name", REFUSED_NAMES, ids=lambda name: ascii(name)[:24])
    def test_a_name_that_could_mean_something_else_is_refused(self, name: str) -> None:
        with pytest.raises(InvalidRunError):
            check_run_id(name)

    @pytest.mark.parametrize("name", ACCEPTED_NAMES, ids=lambda name: ascii(name)[:24])
    def test_an_odd_name_is_one_folder(self, targets: Targets, name: str) -> None:
        assert targets.run_id(name.encode())


class TestFuzzers:
    """What the fuzzers themselves need."""

    def test_a_changed_document_is_never_longer_than_asked_for(self) -> None:
        whole = summary()

        changed = [changed_document(whole, 300, seed) for seed in range(200)]

        assert len(set(changed)) > 100
        assert all(content is None or len(content) <= 300 for content in changed)

    def test_without_atheris_the_extra_is_named(self) -> None:
        without = "import sys; sys.modules['atheris'] = None; from tests.fuzz.__main__ import main"

        ended = subprocess.run(
            [sys.executable, "-c", f"{without}; sys.exit(main([]))"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
        )

        assert ended.returncode == 2
        assert "extra `fuzz`" in ended.stderr
