"""One tree of runs to ask: adopted, saved, saved again, and what is no run beside them."""

from pathlib import Path

import reference
from recordings import own, recorded

from astraguard_store import RunRepository

# Two of them end at the same moment, so that the run id decides.
OLD_RUNS = {
    "old_b": reference.make_rows(40, start=1_700_000_000.0),
    "old_a": reference.make_rows(40, start=1_700_000_000.0, scale=2.0),
    "old_c": reference.make_rows(90, start=1_600_000_000.0, satellites=("SAT001", "S,3")),
}
NO_DATABASE = b"this is no database\n" * 500
NEW_RUNS = ["zebra", "run_9", "run_10", "käse"]


def make_tree(results: Path) -> None:
    """Adopt some runs of the old class, save others, and leave what is no run beside them."""
    for run_id, rows in OLD_RUNS.items():
        reference.write_old_run(results, run_id, rows)
    (results / "constructed_only").mkdir()
    (results / "notes.txt").write_text("not a run")
    with RunRepository.open(results) as repository:
        repository.save(NEW_RUNS[0], recorded(1))
        for i, run_id in enumerate(NEW_RUNS):
            repository.save(run_id, recorded(20 + i, scale=1.0 + i))
        only_recovery = reference.make_rows(8, types=("recovery_action",))
        repository.save("one_type", own(only_recovery))


def drop_database(results: Path) -> None:
    for path in results.glob("astraguard.db*"):
        path.unlink()


def expected_order(results: Path) -> list[str]:
    runs = [path.parent for path in results.glob(f"*/{reference.SUMMARY}")]
    times = {run.name: (run / reference.SUMMARY).stat().st_mtime_ns for run in runs}
    return sorted(times, key=lambda run_id: (times[run_id], run_id), reverse=True)
