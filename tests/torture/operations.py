"""What children do to a store that somebody else has meddled with: everything there is.

Each operation opens the store anew and ends well, or with an error of this package's.
"""

from __future__ import annotations

import faulthandler
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from astraguard_store import MetricsStorage, RunRepository, StoreError

from .cases import Case
from .children import Children
from .ledger import Ledger
from .report import Finding, Harm
from .savers import AGAIN, DOOMED, KEPT, NEW, delete, recording, save, save_many

Operation = Callable[[RunRepository, Ledger, Path], object]

LIVE = "live"
# A busy machine needs 20 s for all of them; one that waits for a pipe never ends.
HANGS_AFTER_S = 120.0


def _export(run_ids: list[str], name: str) -> Operation:
    return lambda repository, _, spare: repository.export(run_ids, spare / name)


def _record(repository: RunRepository, ledger: Ledger, spare: Path) -> None:
    del ledger, spare
    with repository.run(LIVE, flush_every_s=3_600.0) as run:
        run.record_fault_detection("SAT001", 0.0, 1.0)


def _through_the_facade(repository: RunRepository, ledger: Ledger, spare: Path) -> None:
    del ledger, spare
    assert repository.database_path is not None
    results = str(repository.database_path.parent)
    MetricsStorage.get_recent_runs(results)
    with suppress(FileExistsError):  # of the old class, where a run's folder is none
        MetricsStorage(KEPT, results).get_run_metrics()
        MetricsStorage(KEPT, results).compare_runs(AGAIN)


READING: dict[str, Operation] = {
    "recent": lambda repository, *_: repository.recent(),
    "get": lambda repository, *_: repository.get(KEPT),
    "measurements": lambda repository, *_: repository.measurements(KEPT),
    "document": lambda repository, *_: repository.read_document(KEPT, afresh=True),
    "compare": lambda repository, *_: repository.compare(KEPT, AGAIN),
    "percentiles": lambda repository, *_: repository.percentiles(
        (0.5, 0.99), metric_type="fault_detection"
    ),
    "facade": _through_the_facade,
    "export zip": _export([KEPT, AGAIN], "runs.zip"),
    "export folder": _export([KEPT], "runs"),
    "export parquet": _export([KEPT], "runs.parquet"),
    "check": lambda repository, *_: repository.check(deep=True),
    "backup": lambda repository, _, spare: repository.back_up(spare / "backup.db"),
    "dry prune": lambda repository, *_: repository.prune(keep=1, dry_run=True),
}
WRITING: dict[str, Operation] = {
    "save new": lambda repository, ledger, _: save(repository, ledger, NEW),
    "save again": lambda repository, ledger, _: save(repository, ledger, AGAIN),
    "save many": lambda repository, ledger, _: save_many(repository, ledger, [NEW, "newer"]),
    "record": _record,
    "delete": lambda repository, ledger, _: delete(repository, ledger, DOOMED),
    "tag": lambda repository, *_: repository.set_tags(KEPT, {"week": "47"}),
    "import": lambda repository, *_: repository.import_legacy(),
    "recover": lambda repository, *_: repository.recover(),
    "check and fix": lambda repository, *_: repository.check(fix=True),
    "prune": lambda repository, *_: repository.prune(older_than=timedelta(days=36_500)),
}


def do_everything(case: Case) -> None:
    """Do every operation, each in an opening of its own; note those that don't end well."""
    faulthandler.dump_traceback_later(HANGS_AFTER_S - 10.0)
    with case.answer.open("w") as answer, tempfile.TemporaryDirectory() as spare:
        ledger = Ledger(case.ledger)
        for name, operate in (READING | WRITING).items():
            answer.write(json.dumps([name, "hangs"]) + "\n")
            answer.flush()
            answer.write(json.dumps([name, _tried(case, ledger, operate, Path(spare))]) + "\n")
    faulthandler.cancel_dump_traceback_later()


def _tried(case: Case, ledger: Ledger, operate: Operation, spare: Path) -> str:
    """Return how an operation ended wrongly; nothing if it ended well."""
    reads = operate in READING.values()
    try:
        with RunRepository.open(case.results, read_only=reads, busy_timeout_s=2.0) as repository:
            operate(repository, ledger, spare)
    except StoreError as error:
        return "" if str(error) else f"{type(error).__name__} without a word"
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        return f"a raw {type(error).__name__}: {error}"
    return ""


def everything(children: Children, case: Case) -> Iterator[Finding]:
    """Do every operation in a child; yield what hung, or failed with an error of nobody's."""
    case.answer.unlink(missing_ok=True)
    try:
        code = children.run(do_everything, case, timeout_s=HANGS_AFTER_S)
    except AssertionError:
        code = 0  # what hung is the last of the answers
    ended = dict(json.loads(line) for line in case.answer.read_text().splitlines())
    for name, seen in ended.items():
        if seen:
            yield Finding(Harm.LOST, f"{name}: {seen}")
    if code or len(ended) != len(READING | WRITING):
        last = next(reversed(ended), "")
        yield Finding(Harm.LOST, f"the process ended with {code} in {last}, of {os.getpid()}")


def one_more_save(case: Case) -> None:
    """Save a run as if nothing had happened."""
    with RunRepository.open(case.results) as repository:
        save(repository, Ledger(case.ledger), "after")
        repository.measurements("after")
    assert recording(1)
