"""Journals of dead recorders that are damaged, made up, or beside a database put back."""

from __future__ import annotations

import os
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import ArtifactError, DatabaseError, LatencyCollector, RunRepository
from astraguard_store.formats.journal import (
    JournalHead,
    attachment_frame,
    end_frame,
    head_frame,
    labels_frame,
    reset_frame,
    rows_frame,
)
from astraguard_store.model import Attachment
from astraguard_store.provenance import UNKNOWN_PROVENANCE
from astraguard_store.store.schema_versions import restore_backup

HEAD = head_frame(JournalHead(1_790_000_000_000_000, UNKNOWN_PROVENANCE, {}))
LABELS = labels_frame([("thermal_recovery", "SAT001", False)])
UNKNOWN = reset_frame().replace(b"Z", b"Q", 1)


def row(timestamp: float, duration_ms: float, label: int) -> bytes:
    return rows_frame(struct.pack("=dddq", timestamp, duration_ms, 0.5, label))


ROW = row(1_790_000_000.5, 3.0, 0)


@pytest.fixture
def memory() -> Iterator[Path]:
    """Give a folder in memory, where files may have any time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def leave_journal(results: Path, *frames: bytes) -> Path:
    """Leave what a recorder of the run `lost` would have left, beside a saved run."""
    with RunRepository.open(results) as repository:
        repository.save("other", recorded(2))
    path = results / ".staging" / "lost~0123456789abcdef.journal"
    path.write_bytes(b"".join(frames))
    return path


def found(results: Path) -> list[str]:
    with RunRepository.open(results) as repository:
        return sorted(header.run_id for header in repository.recent())


@pytest.mark.parametrize(
    "frames",
    [
        [LABELS, row(1.0, 2.0, 1)],
        [LABELS, row(1.0, 2.0, -1)],
        [LABELS, row(float("nan"), 2.0, 0)],
        [LABELS, row(1.0, -2.0, 0)],
        [labels_frame([("", "SAT001", False)]), ROW],
        [labels_frame([("x", "SAT\0", False)]), ROW],
        [LABELS, ROW, attachment_frame(Attachment("../../x", 3, "0" * 64))],
        [LABELS, ROW, end_frame("running", None)],
    ],
    ids=["label", "negative label", "nan", "negative", "no name", "nul", "link", "running"],
)
def test_a_journal_that_no_recorder_writes_stays_and_stops_no_opening(
    results: Path, frames: list[bytes]
) -> None:
    journal = leave_journal(results, HEAD, *frames)

    runs = found(results)

    assert runs == ["other"]
    assert journal.exists()


def test_a_journal_whose_first_frame_is_damaged_stays(results: Path) -> None:
    damaged = HEAD[:-3] + b"\0" + HEAD[-2:]
    journal = leave_journal(results, damaged, LABELS, ROW)

    runs = found(results)

    assert runs == ["other"]
    assert journal.exists()


@pytest.mark.parametrize("left", [b"", HEAD[:20], bytes(200)], ids=["empty", "cut off", "zeros"])
def test_a_journal_into_which_nothing_came_goes(results: Path, left: bytes) -> None:
    journal = leave_journal(results, left)

    runs = found(results)

    assert runs == ["other"]
    assert not journal.exists()


def test_a_journal_that_cannot_be_read_now_is_read_later(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = leave_journal(results, HEAD, LABELS, ROW)
    with monkeypatch.context() as disk:
        disk.setattr("mmap.mmap", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "I/O error")))
        without = found(results)

    later = found(results)

    assert without == ["other"]
    assert later == ["lost", "other"]
    assert not journal.exists()


@pytest.mark.parametrize("frames", [1, 3])
def test_what_comes_before_damaged_frames_is_saved_and_the_rest_is_kept(
    results: Path, caplog: pytest.LogCaptureFixture, frames: int
) -> None:
    damaged = ROW[:-1] + b"\xff"
    journal = leave_journal(results, HEAD, LABELS, ROW, damaged * frames, ROW)

    with RunRepository.open(results) as repository:
        run = repository.get("lost")

    assert run.total_measurements == 1
    assert os.listdir(journal.parent) == ["lost~0123456789abcdef.damaged"]
    assert "damaged" in caplog.text


def test_the_torn_end_of_a_journal_is_no_damage(results: Path) -> None:
    journal = leave_journal(results, HEAD, LABELS, ROW, ROW[:-1])

    runs = found(results)

    assert runs == ["lost", "other"]
    assert os.listdir(journal.parent) == []


def test_a_recording_outlives_a_backup_that_is_put_back_meanwhile(
    results: Path, tmp_path: Path
) -> None:
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(3))
        repository.back_up(tmp_path / "backup.db")
        with pytest.raises(DatabaseError, match="is not lost"):
            record_beside_a_restore(repository, results, tmp_path / "backup.db")

    with RunRepository.open(results) as repository:
        adopted = repository.get("run")

    assert adopted.total_measurements == 100
    assert os.listdir(results / ".staging") == []


def test_a_recording_outlives_a_backup_with_equal_durations_on_another_satellite(
    results: Path, tmp_path: Path
) -> None:
    with RunRepository.open(results) as repository:
        with repository.run("run") as run:
            fill(run, 100, "SAT-A")
        repository.back_up(tmp_path / "backup.db")
        with pytest.raises(DatabaseError, match="is not lost"):
            record_beside_a_restore(repository, results, tmp_path / "backup.db", "SAT-B")

    with RunRepository.open(results) as repository:
        adopted = repository.get("run")

    assert list(adopted.satellites) == ["SAT-B"]
    assert os.listdir(results / ".staging") == []


@pytest.mark.parametrize("satellite", ["SAT-A", "SAT001"])
def test_a_recording_of_equal_durations_stays_beside_an_older_run(
    results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, satellite: str
) -> None:
    with RunRepository.open(results) as repository:
        older = LatencyCollector()
        fill(older, 100, satellite)
        repository.save("run", older)
        repository.back_up(tmp_path / "backup.db")
        repository.save("run", recorded(4))
        with pytest.raises(DatabaseError, match="is not lost"):
            record_beside_a_restore(repository, results, tmp_path / "backup.db")

    RunRepository.open(results).close()

    assert "both stay" in caplog.text
    assert [path.suffix for path in (results / ".staging").iterdir()] == [".journal"]


def test_a_journal_whose_save_is_stored_goes(results: Path) -> None:
    with RunRepository.open(results) as repository:
        with repository.run("run") as run:
            fill(run, 100)
            (journal,) = (results / ".staging").iterdir()
            os.link(journal, results / "linked")
        (results / "linked").rename(journal)

    with RunRepository.open(results) as repository:
        revision = repository.get("run").revision

    assert revision == 1
    assert os.listdir(results / ".staging") == []


def test_a_recording_and_an_older_run_that_a_backup_brought_back_both_stay(
    results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(3))
        repository.back_up(tmp_path / "backup.db")
        repository.save("run", recorded(4))
        with pytest.raises(DatabaseError, match="is not lost"):
            record_beside_a_restore(repository, results, tmp_path / "backup.db")

    with RunRepository.open(results) as repository:
        before = repository.get("run").total_measurements
        repository.delete("run")
    with RunRepository.open(results) as repository:
        after = repository.get("run").total_measurements

    assert before == 9
    assert "both stay" in caplog.text
    assert after == 100


def test_a_failed_run_stays_failed_if_a_second_recording_measures_nothing(results: Path) -> None:
    with RunRepository.open(results) as repository:
        with pytest.raises(RuntimeError):
            record_and_fail(repository)
        with repository.run("run"):
            pass

        found = repository.get("run")

    assert (found.state, found.total_measurements) == ("failed", 2)


def test_a_file_time_that_no_calendar_has_stops_no_question(memory: Path) -> None:
    with RunRepository.open(memory) as repository, repository.run("run") as run:
        fill(run, 2)
        for journal in (memory / ".staging").iterdir():
            os.utime(journal, (300_000_000_000, 300_000_000_000))

        states = repository.get("run").state, repository.recent()[0].state

    assert states == ("running", "running")


@pytest.mark.parametrize("name", ["../../secret", "../latency_raw.csv", ".hidden", "a/b"])
def test_a_noted_attachment_that_lies_elsewhere_is_neither_read_nor_written(
    results: Path, tmp_path: Path, name: str
) -> None:
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(3))
        repository.save("other", recorded(3))
    with closing(sqlite3.connect(results / "astraguard.db")) as database, database:
        database.execute("INSERT INTO attachments VALUES ('run', ?, 6, ?)", (name, "0" * 64))
    (results / "secret").write_text("secret")

    with RunRepository.open(tmp_path / "into") as into:
        merged = into.merge(results)
    with RunRepository.open(results) as repository:
        with pytest.raises(ArtifactError, match="name of an attachment"):
            repository.export(["run"], tmp_path / "exported")
        faults = [f.kind for f in repository.check().findings if f.severity == "fault"]

    assert merged.merged == ("other",)
    assert [run_id for run_id, _ in merged.refused] == ["run"]
    assert sorted(os.listdir(tmp_path)) == ["into", "results"]
    assert faults == ["rows_disagree"]


def fill(run: LatencyCollector, measurements: int, satellite: str = "SAT001") -> None:
    for number in range(measurements):
        run.record("thermal_recovery", satellite, number / 10, 3.0)


def record_and_fail(repository: RunRepository) -> None:
    with repository.run("run") as run:
        fill(run, 2)
        raise RuntimeError("the rig is gone")


def record_beside_a_restore(
    repository: RunRepository, results: Path, backup: Path, satellite: str = "SAT001"
) -> None:
    with repository.run("run") as run:
        fill(run, 100, satellite)
        restore_backup(results, backup)
