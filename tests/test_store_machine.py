"""Two repositories and a second program on one store always agree with a dict."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from astraguard_store import (
    Comparison,
    LatencyCollector,
    MetricSummary,
    RunHeader,
    RunNotFoundError,
    RunRepository,
    RunSummary,
    ValueChange,
)

RUN_IDS = st.sampled_from(["a", "b", "run_9", "run_10", "Ü"])
MISSING = "never saved"
Rows = list[tuple[int, str, float]]
ROWS: st.SearchStrategy[Rows] = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["SAT1", "SAT2"]),
        st.floats(0, 1e6, allow_nan=False),
    ),
    min_size=1,
    max_size=6,
)


def recorded(rows: Rows) -> LatencyCollector:
    """Record *rows*: which of the three kinds, satellite, duration."""
    collector = LatencyCollector()
    record = (
        collector.record_fault_detection,
        collector.record_agent_decision,
        collector.record_recovery_action,
    )
    for kind, satellite, duration_ms in rows:
        record[kind](satellite, 0.0, duration_ms)
    return collector


def serve(requests: Connection) -> None:
    """In the second program: save or delete in the asked store, which is opened each time."""
    while True:
        results, run_id, rows = requests.recv()
        with RunRepository.open(results) as repository:
            answer = None
            if rows is None:
                repository.delete(run_id)
            else:
                answer = repository.save(run_id, recorded(rows))
        requests.send(answer)


class StoreMachine(RuleBasedStateMachine):
    """Saves, deletes and questions in any order; `self.model` is what must be there."""

    program: ClassVar[Connection]
    place: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.results = Path(tempfile.mkdtemp(dir=self.place))
        self.repositories: list[RunRepository] = []
        self.model: dict[str, RunSummary] = {}
        self.began = datetime.now(UTC)

    @initialize()
    def open_both(self) -> None:
        """Open the store twice."""
        self.repositories = [RunRepository.open(self.results) for _ in range(2)]

    @rule(which=st.integers(0, 1), run_id=RUN_IDS, rows=ROWS)
    def save(self, which: int, run_id: str, rows: Rows) -> None:
        """Save a run, or save it again."""
        self.remember(rows, self.repositories[which].save(run_id, recorded(rows)))

    @rule(which=st.integers(0, 1), runs=st.dictionaries(RUN_IDS, ROWS, min_size=1, max_size=3))
    def save_many(self, which: int, runs: dict[str, Rows]) -> None:
        """Save several runs in one transaction."""
        collectors = [(run_id, recorded(rows)) for run_id, rows in runs.items()]
        for summary in self.repositories[which].save_many(collectors):
            self.remember(runs[summary.run_id], summary)

    @rule(run_id=RUN_IDS, rows=ROWS)
    def save_in_the_other_program(self, run_id: str, rows: Rows) -> None:
        """Save through another process."""
        self.program.send((self.results, run_id, rows))
        self.remember(rows, self.program.recv())

    @precondition(lambda self: self.model)
    @rule(which=st.integers(0, 1), choice=st.randoms(use_true_random=False))
    def delete(self, which: int, choice: Random) -> None:
        """Delete a run that is there."""
        run_id = choice.choice(sorted(self.model))
        self.repositories[which].delete(run_id)
        del self.model[run_id]

    @precondition(lambda self: self.model)
    @rule(choice=st.randoms(use_true_random=False))
    def delete_in_the_other_program(self, choice: Random) -> None:
        """Delete a run through another process."""
        run_id = choice.choice(sorted(self.model))
        self.program.send((self.results, run_id, None))
        assert self.program.recv() is None
        del self.model[run_id]

    @rule(which=st.integers(0, 1), run_id=RUN_IDS)
    def ask_for_what_is_missing(self, which: int, run_id: str) -> None:
        """Get, delete or compare a run that isn't there."""
        repository = self.repositories[which]
        missing = MISSING if run_id in self.model else run_id
        questions: list[Callable[[], object]] = [
            lambda: repository.get(missing),
            lambda: repository.delete(missing),
            lambda: repository.compare(missing, run_id),
            lambda: repository.compare(run_id, missing),
        ]
        for question in questions:
            with pytest.raises(RunNotFoundError):
                question()

    @precondition(lambda self: self.model)
    @rule(
        which=st.integers(0, 1),
        choice=st.randoms(use_true_random=False),
        by_satellite=st.booleans(),
    )
    def compare(self, which: int, choice: Random, by_satellite: bool) -> None:
        """Compare two runs that are there, or one with itself."""
        baseline, candidate = (choice.choice(sorted(self.model)) for _ in range(2))

        comparison = self.repositories[which].compare(
            baseline, candidate, by_satellite=by_satellite
        )

        check_comparison(comparison, self.model[baseline], self.model[candidate], by_satellite)

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        """Close one of the repositories and open it again."""
        self.repositories[which].close()
        self.repositories[which] = RunRepository.open(self.results)

    @rule(which=st.integers(0, 1), limit=st.integers(-1, 6))
    def list_some(self, which: int, limit: int) -> None:
        """List the newest few."""
        assert self.repositories[which].recent(limit) == self.headers()[: max(0, limit)]

    @invariant()
    def both_answer_like_the_model(self) -> None:
        """Read everything, through both."""
        for repository in self.repositories:
            assert repository.recent(100) == self.headers()
            for run_id, summary in self.model.items():
                assert repository.get(run_id) == summary

    def headers(self) -> list[RunHeader]:
        """List the headers in the model, newest first."""
        headers = [summary.header for summary in self.model.values()]
        return sorted(headers, key=lambda h: (h.recorded_at, h.run_id), reverse=True)

    def remember(self, rows: Rows, summary: RunSummary) -> None:
        """Check what a save returned, and put it into the model."""
        before = self.model.get(summary.run_id)
        assert summary.revision == (before.revision + 1 if before else 1)
        assert self.began <= summary.recorded_at <= datetime.now(UTC)
        assert summary.total_measurements == len(rows)
        assert sum(m.count for m in summary.metrics.values()) == len(rows)
        assert set(summary.satellites) == {satellite for _, satellite, _ in rows}
        assert max(m.max_ms for m in summary.metrics.values()) == max(row[2] for row in rows)
        self.model[summary.run_id] = summary

    def teardown(self) -> None:
        """Close both, and look for what is left over."""
        try:
            for repository in self.repositories:
                repository.close()
            folders = {path.name for path in self.results.iterdir() if path.is_dir()}
            assert folders - {".staging"} == set(self.model)
            assert not list((self.results / ".staging").glob("*"))
        finally:
            shutil.rmtree(self.results)


def check_comparison(
    comparison: Comparison, baseline: RunSummary, candidate: RunSummary, by_satellite: bool
) -> None:
    """Compare a comparison with one done by hand."""
    old, new = (flat(summary, by_satellite) for summary in (baseline, candidate))
    names = [(change.satellite_id, change.metric_type) for change in comparison.changes]
    assert sorted(names, key=str) == sorted(old.keys() | new.keys(), key=str)
    for change in comparison.changes:
        key = (change.satellite_id, change.metric_type)
        for statistic in ("count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms"):
            expected = ValueChange(
                getattr(old.get(key), statistic, None), getattr(new.get(key), statistic, None)
            )
            assert getattr(change, statistic) == expected


def flat(summary: RunSummary, by_satellite: bool) -> dict[tuple[str | None, str], MetricSummary]:
    """Key the statistics of a run by satellite, None for all together, and metric type."""
    if not by_satellite:
        return {(None, metric_type): m for metric_type, m in summary.metrics.items()}
    return {
        (satellite_id, metric_type): metric
        for satellite_id, metrics in summary.satellites.items()
        for metric_type, metric in metrics.items()
    }


@pytest.fixture
def other_program(tmp_path: Path) -> Iterator[None]:
    """Run the second program for the length of a test."""
    StoreMachine.place = tmp_path
    context = multiprocessing.get_context("spawn")
    StoreMachine.program, requests = context.Pipe()
    child = context.Process(target=serve, args=(requests,), daemon=True)
    child.start()
    yield
    child.kill()
    child.join(30)
    StoreMachine.program.close()
    requests.close()


def run_machine(examples: int, steps: int, *, shrink: bool) -> None:
    """Run the machine; without shrinking a red run ends soon, but not with the shortest way."""
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    chosen = settings(max_examples=examples, stateful_step_count=steps, phases=phases)
    run_state_machine_as_test(StoreMachine, settings=settings(chosen, deadline=None))


@pytest.mark.usefixtures("other_program")
def test_the_store_agrees_with_a_dict() -> None:
    run_machine(25, 15, shrink=False)
