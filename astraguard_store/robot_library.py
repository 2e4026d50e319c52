"""Library of Robot Framework: keywords that record latencies, a live run for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astraguard_store.exceptions import InvalidRunError
from astraguard_store.repository import RunRepository
from astraguard_store.tested_runs import end_run, run_of_test

if TYPE_CHECKING:
    from astraguard_store.store.live_run import LiveRun

# As pytest has them, so that a filter by the tag finds both.
_OUTCOMES = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}


class Latencies:
    """Keywords that record latencies; what a test recorded is saved as a run at its end.

    The run is named after the test, its scenario is the test's full name, its state is
    ``failed`` if the test failed, and it has the tags ``robot`` (that name) and ``outcome``.
    A test that records nothing has no run. A keyword in a suite's setup or teardown, which
    belongs to no test, fails.

        *** Settings ***
        Library    astraguard_store.robot_library.Latencies    results
    """

    ROBOT_LIBRARY_SCOPE = "GLOBAL"
    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self, results: str) -> None:
        """Save runs in the folder *results*."""
        # Robot Framework tells it when a test begins and ends.
        self.ROBOT_LIBRARY_LISTENER = self
        self._results = results
        self._test = ""
        self._at_work: tuple[RunRepository, LiveRun] | None = None

    def record_latency(
        self, metric_type: str, satellite: str, scenario_time_s: float, duration_ms: float
    ) -> None:
        """Record how long something took, in ms."""
        self._run().record(metric_type, satellite, scenario_time_s, duration_ms)

    def record_missed(
        self, metric_type: str, satellite: str, scenario_time_s: float, waited_ms: float
    ) -> None:
        """Record an event that never came, for which *waited_ms* were waited."""
        self._run().missed(metric_type, satellite, scenario_time_s, waited_ms)

    def attach_to_run(self, path: str) -> None:
        """Copy a file, such as a console log, to the run."""
        self._run().attach(path)

    def _run(self) -> LiveRun:
        if not self._test:
            # Of the suite's setup or teardown: the run would be that of another test.
            raise InvalidRunError(
                "No test is running: record within a test, not in the setup or teardown of a suite"
            )
        if self._at_work is None:
            repository = RunRepository.open(self._results)
            run = run_of_test(repository, self._test, {"robot": self._test})
            self._at_work = repository, run.__enter__()
        return self._at_work[1]

    def _start_test(self, data: Any, _result: Any) -> None:
        self._test = data.full_name

    def _end_test(self, _data: Any, result: Any) -> None:
        self._test = ""
        if self._at_work is None:
            return
        repository, run = self._at_work
        self._at_work = None
        error = AssertionError(result.message) if result.failed else None
        with repository:
            end_run(repository, run, _OUTCOMES[result.status], error)
