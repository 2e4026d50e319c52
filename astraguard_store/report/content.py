"""What a report holds, asked of a repository once."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from astraguard_store.comparison import Comparison, compare
from astraguard_store.distributions import Distribution
from astraguard_store.model import RunSummary
from astraguard_store.over_time import TimeSlice, over_time
from astraguard_store.presentation.text import few_names

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository
    from astraguard_store.verdict.values import GateReport

_SLICES = 60


@dataclass(frozen=True, slots=True)
class Report:
    """Runs, side by side, and against a baseline if there is one.

    Attributes:
        runs: The runs in question.
        baseline: What they are compared with; None without.
        comparisons: One for each run, against the baseline; empty without one.
        distributions: One for each metric type, the baseline's first.
        made_at: When the report was made, aware UTC.
        place: The results folder, or a server's URL without its password.
        verdict: What a gate says of the runs; None where there is none.
        why_not: Why there is no verdict, where one was to be expected.
        times: {run id: what `over_time` gives of it}.
    """

    runs: tuple[RunSummary, ...]
    baseline: RunSummary | None
    comparisons: tuple[Comparison, ...]
    distributions: tuple[Distribution, ...]
    made_at: datetime
    place: str
    verdict: GateReport | None = None
    why_not: str | None = None
    times: Mapping[str, Mapping[str, Sequence[TimeSlice]]] = field(default_factory=dict)

    @property
    def all_runs(self) -> tuple[RunSummary, ...]:
        """The runs, after the baseline if there is one."""
        return self.runs if self.baseline is None else (self.baseline, *self.runs)

    @property
    def title(self) -> str:
        """What the report is of, in a line."""
        shown = few_names([run.run_id for run in self.runs], 3)
        if self.baseline is None:
            return shown
        name = self.verdict.baseline_name if self.verdict else None
        return f"{shown} against {name or self.baseline.run_id}"

    def commands(self) -> list[str]:
        """Return the commands that show the same in a terminal."""
        if self.baseline is None:
            called = [f"show {shlex.quote(run.run_id)}" for run in self.runs]
        else:
            before = shlex.quote(self.baseline.run_id)
            compared = [f"compare {before} {shlex.quote(run.run_id)}" for run in self.runs]
            called = [*self._gate(), *compared]
        return [
            f"astraguard-store {words} --results {shlex.quote(self.place)}" for words in called
        ]

    def _gate(self) -> list[str]:
        if self.verdict is None:
            return []
        against = self.verdict.baseline_name or ",".join(self.verdict.baseline)
        names = " ".join(map(shlex.quote, self.verdict.candidates))
        return [f"gate {names} --baseline {shlex.quote(against)}"]


def collect(
    repository: RunRepository,
    run_ids: Sequence[str],
    baseline: str | None,
    verdict: GateReport | None = None,
    why_not: str | None = None,
) -> Report:
    """Return the report of these runs.

    Args:
        repository: Where they are.
        run_ids: The runs.
        baseline: The run that each is compared with; None for none.
        verdict: As in `Report`.
        why_not: As in `Report`.

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
        repository.server or str(repository.results_dir),
        verdict,
        why_not,
        {run_id: over_time(repository, run_id, _SLICES) for run_id in ids},
    )
