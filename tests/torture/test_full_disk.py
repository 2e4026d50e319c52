"""A disk that is really full: the error says so, the old run stays, and room mends it."""

from __future__ import annotations

import errno
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astraguard_store import RunNotFoundError, RunRepository, StoreError

from .cases import Case, new_case
from .children import Children
from .ledger import Ledger
from .mounts import mounted_tmpfs
from .report import Table
from .savers import AGAIN, KEPT, NEW, new_tag, prepare, recording, save

BALLAST = "ballast"
LONG_RUN_STEPS = 4_000  # 24,000 measurements, a CSV of 1.5 MB


@pytest.fixture
def case(tmp_path: Path, children: Children) -> Iterator[Case]:
    """Give a store with three runs on a disk of 6 MB."""
    with mounted_tmpfs(tmp_path / "mount", "6m") as mount:
        case = new_case(mount / "case")
        assert children.run(prepare, case) == 0
        yield case


def fill(disk: Path, left_bytes: int) -> Path:
    """Fill the disk but for *left_bytes*, rounded up to its pages."""
    ballast = disk / BALLAST
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            file.truncate(max(0, file.tell() - left_bytes))
    return ballast


@pytest.mark.parametrize(
    "left_bytes",
    [
        *(pytest.param(n * 4096, id=f"bounded, {n} pages") for n in (0, 2, 5, 9, 20)),
        *(
            pytest.param(n * 4096, id=f"full, {n} pages", marks=pytest.mark.torture)
            for n in range(60)
        ),
    ],
)
def test_a_full_disk_refuses_a_save_and_loses_nothing(
    left_bytes: int, case: Case, table: Table
) -> None:
    tally = table.row("full disk, but for a few pages")
    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as repository:
        before = {run_id: repository.get(run_id) for run_id in (KEPT, AGAIN)}
        ballast = fill(case.root.parent, left_bytes)

        for run_id in (AGAIN, NEW):
            with pytest.raises(StoreError) as raised:
                save(repository, ledger, run_id, LONG_RUN_STEPS)
            assert str(case.results) in str(raised.value)
            # The old class let the system's own error through.
            assert isinstance(raised.value, OSError)
            assert raised.value.errno == errno.ENOSPC

        assert {run_id: repository.get(run_id) for run_id in before} == before
        with pytest.raises(RunNotFoundError):
            repository.get(NEW)
        ballast.unlink()
        assert save(repository, ledger, AGAIN).revision == 2
        save(repository, ledger, NEW)
    tally.add(case.audit())
    tally.check()


@pytest.mark.parametrize("pages", [0, 2, 9, 30, 50])
def test_a_store_that_there_is_no_room_to_make_is_no_store(case: Case, pages: int) -> None:
    ballast = fill(case.root.parent, pages * 4096)

    with pytest.raises(StoreError) as raised:
        RunRepository.open(case.root / "new").close()
    ballast.unlink()
    RunRepository.open(case.root / "new").close()

    assert isinstance(raised.value, OSError)
    assert raised.value.errno == errno.ENOSPC


def test_a_store_on_a_full_disk_is_opened_and_read(case: Case) -> None:
    fill(case.root.parent, 0)

    with RunRepository.open(case.results) as repository:
        revision = repository.get(KEPT).revision

    assert revision == 2


@contextmanager
def limited(limit_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save_beyond_a_limit(case: Case, limit_bytes: int) -> None:
    """Save with a limit on the size of files, and answer the error; then save without it."""
    ledger = Ledger(case.ledger)
    message = ""
    tag = new_tag()
    with RunRepository.open(case.results) as repository:
        try:
            # The ledger is a file too: it is written without the limit.
            with ledger.operation("save", {AGAIN: tag}), limited(limit_bytes):
                repository.save(AGAIN, recording(tag, LONG_RUN_STEPS))
        except StoreError as error:
            message = str(error)
        revision = save(repository, ledger, AGAIN).revision
    case.answer.write_text(json.dumps([message, revision]))


@pytest.mark.parametrize("limit_bytes", [1_000, 100_000])
def test_a_limit_on_file_sizes_is_an_error_like_any_other(
    limit_bytes: int, tmp_path: Path, children: Children
) -> None:
    case = new_case(tmp_path / "store")
    children.run(prepare, case)

    code = children.run(save_beyond_a_limit, case, limit_bytes)

    assert code == 0
    message, revision = json.loads(case.answer.read_text())
    assert str(case.results) in message
    assert revision == 2
    assert case.audit() == []
