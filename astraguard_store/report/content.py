"""What a report holds, asked of a repository once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from astraguard_store.comparison import Comparison, compare
from astraguard_store.distributions import Distribution
from astraguard_store.model import RunSummary

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository


@dataclass(frozen=True, slots=True)
class Report:
    """Runs, side by side, and against a baseline if there is one.

    Attributes:
        runs: The runs in question.
        baseline: What they are compared with; None without.
        comparisons: One for each run, against the baseline; empty without one.
        distributions: One for each metric type, the baseline's first.
        made_at: When the report was made, aware UTC.
    """

    runs: tuple[RunSummary, ...]
    baseline: RunSummary | None
    comparisons: tuple[Comparison, ...]
    distributions: tuple[Distribution, ...]
    made_at: datetime

    @property
    def all_runs(self) -> tuple[RunSummary, ...]:
        """The runs, after the baseline if there is one."""
        return self.runs if self.baseline is None else (self.baseline, *self.runs)

    @property
    def title(self) -> str:
        """What the report is of, in a line."""
        names = [run.run_id for run in self.runs]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return f"{shown} against {self.baseline.run_id}" if self.baseline else shown

    def commands(self) -> list[str]:
        """Return the commands that show the same in a terminal."""
        if self.baseline is None:
            return [f"astraguard-store show {_word(run.run_id)}" for run in self.runs]
        before = _word(self.baseline.run_id)
        return [f"astraguard-store compare {before} {_word(run.run_id)}" for run in self.runs]


def collect(repository: RunRepository, run_ids: Sequence[str], baseline: str | None) -> Report:
    """Return the report of these runs.

    Raises:
        RunNotFoundError: There is no such run.
        InvalidRunError: An id can't be.
    """
    wanted = list(dict.fromkeys(run_id for run_id in run_ids if run_id != baseline))
    before = None if baseline is None else repository.get(baseline)
    runs = tuple(repository.get(run_id) for run_id in wanted)
    everyone = runs if before is None else (before, *runs)
    types = sorted({metric_type for run in everyone for metric_type in run.metrics})
    ids = [run.run_id for run in everyone]
    return Report(
        runs,
        before,
        () if before is None else tuple(compare(before, run) for run in runs),
        tuple(repository.distribution(metric_type, ids) for metric_type in types),
        datetime.now(UTC),
    )


def _word(run_id: str) -> str:
    import shlex

    return shlex.quote(run_id)
