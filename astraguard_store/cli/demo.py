"""`astraguard-store demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.compare import print_comparison
from astraguard_store.cli.recent import print_runs
from astraguard_store.cli.report import write_report
from astraguard_store.demo import (
    Detector,
    Flight,
    FlightPlan,
    MedianDeviation,
    RunningDeviation,
    fly,
)
from astraguard_store.judging import find_standard, judge
from astraguard_store.model import RunSummary
from astraguard_store.presentation import shapes
from astraguard_store.provenance import Provenance
from astraguard_store.reference import ReferenceWorkload

if TYPE_CHECKING:
    pass

_BASELINE, _CANDIDATE = "demo-quick", "demo-slow"
_FIRMWARE = "4.1"
_BASELINE_NAME = f"firmware-{_FIRMWARE}"
# What an on-board computer needs for the work of a microsecond here: milliseconds.
_SLOWNESS = 1_000.0
_PLAN = FlightPlan(slowness=_SLOWNESS)
# (run, detector, firmware, seed), oldest first: the firmware after 4.1 is slower.
_FLIGHTS: tuple[tuple[str, type[Detector], str, int], ...] = (
    *((f"demo-{number:02}", RunningDeviation, _FIRMWARE, number) for number in range(1, 6)),
    (_BASELINE, RunningDeviation, _FIRMWARE, _PLAN.seed),
    *((f"demo-{number:02}", MedianDeviation, "4.2", number) for number in range(6, 10)),
    (_CANDIDATE, MedianDeviation, "4.2", _PLAN.seed),
)


@click.command(
    epilog=options.examples(
        "astraguard-store demo",
        "astraguard-store compare demo-quick demo-slow --by-satellite --results demo_results",
    )
)
@options.demo_results
@options.as_json
def demo(results: Path, as_json: bool) -> None:
    """Fly a simulated swarm, save the runs, compare two of them, and write a report.

    First with a quick fault detector, then with a slow one, which misses a fault that strikes
    just before the end. The runs of the first become a baseline, and the last run is judged by
    it. The telemetry is simulated; the latencies are wall-clock times of code that really ran,
    times 1,000, as an on-board computer is slower.

    Exit code 0; 2 for an error.
    """
    flights = []
    report = results / "report.html"
    reference = ReferenceWorkload()
    with options.open_store(results) as repository:
        for run_id, detector, firmware, seed in _FLIGHTS:
            is_compared = run_id in (_BASELINE, _CANDIDATE)
            plan = _plan(seed, detector, is_long=is_compared)
            with output.progress_bar(f"Flying {run_id}", hidden=as_json) as progress:
                flight = fly(plan, detector, progress, reference)
            run = repository.save(
                run_id,
                flight.collector,
                provenance=Provenance(
                    scenario="demo swarm", seed=seed, rig="simulated", firmware=firmware
                ),
                tags={"detector": detector.__name__},
            )
            if is_compared:
                flights.append(_flight_shape(detector, plan, flight, run))
            if not as_json:
                _print_flight(detector, plan, flight, run)
        headers = repository.recent(limit=len(_FLIGHTS))
        comparison = repository.compare(_BASELINE, _CANDIDATE)
        of_baseline = [run_id for run_id, _, firmware, _ in _FLIGHTS if firmware == _FIRMWARE]
        repository.set_baseline(_BASELINE_NAME, of_baseline)
        standard = find_standard(repository, _BASELINE_NAME)
        verdict = judge(repository, [_CANDIDATE], standard).report
        write_report(repository, [_CANDIDATE], standard, report)
        origin = options.database_of(repository)
        if as_json:
            shape = {"flights": flights, "recent": headers, "comparison": comparison}
            output.print_json({**origin, **shapes.plain(shape), "report": str(report)})
        else:
            output.print_line()
            print_runs(options.summaries_of(repository, headers))
            output.print_line()
            print_comparison(comparison, repository, verdict)
            output.print_line()
            for run_id in (_BASELINE, _CANDIDATE):
                output.print_line(f"files     {results / run_id}")
            output.print_line(f"database  {origin['database']}")
            output.print_line(f"report    {report.resolve()}")


def _plan(seed: int, detector: type[Detector], *, is_long: bool) -> FlightPlan:
    """Return the plan of a flight: short, but for the two that are compared."""
    return FlightPlan(
        seed=seed,
        slowness=_SLOWNESS,
        duration_s=_PLAN.duration_s if is_long else _PLAN.duration_s // 4,
        faults=_PLAN.faults if is_long else _PLAN.faults // 4,
        late_faults=1 if detector is MedianDeviation else 0,
    )


def _print_flight(
    detector: type[Detector], plan: FlightPlan, flight: Flight, run: RunSummary
) -> None:
    missed = f", {flight.missed} missed" if flight.missed else ""
    output.print_folded(
        f"{run.run_id}: {plan.satellites} satellites, {plan.duration_s} simulated seconds "
        f"in {flight.elapsed_s:.2f} s with {detector.__name__}; {flight.recovered} of "
        f"{flight.injected} faults recovered{missed}, {flight.false_alarms} false alarms"
    )


def _flight_shape(
    detector: type[Detector], plan: FlightPlan, flight: Flight, run: RunSummary
) -> shapes.Shape:
    return {
        "detector": detector.__name__,
        "satellites": plan.satellites,
        "simulated_s": plan.duration_s,
        "elapsed_s": flight.elapsed_s,
        "faults": flight.injected,
        "recovered": flight.recovered,
        "missed": flight.missed,
        "false_alarms": flight.false_alarms,
        "run": shapes.shape_of(run),
    }
