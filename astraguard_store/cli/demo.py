"""`astraguard-store demo`."""

from pathlib import Path

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.compare import print_comparison
from astraguard_store.cli.recent import print_headers
from astraguard_store.comparison import Comparison
from astraguard_store.demo import (
    Detector,
    Flight,
    FlightPlan,
    MedianDeviation,
    RunningDeviation,
    fly,
)
from astraguard_store.model import RunHeader, RunSummary
from astraguard_store.presentation import shapes
from astraguard_store.provenance import Provenance
from astraguard_store.reference import ReferenceWorkload

_PLAN = FlightPlan()
_BASELINE, _CANDIDATE = "demo-quick", "demo-slow"
_DETECTORS: dict[str, type[Detector]] = {
    _BASELINE: RunningDeviation,
    _CANDIDATE: MedianDeviation,
}


@click.command(
    epilog=options.examples(
        "astraguard-store demo",
        "astraguard-store compare demo-quick demo-slow --by-satellite --results demo_results",
    )
)
@options.demo_results
@options.as_json
def demo(results: Path, as_json: bool) -> None:
    """Fly a simulated swarm twice, save both runs, list and compare them.

    Once with a quick fault detector and once with a slow one. The telemetry is
    simulated; the latencies are wall-clock times of code that really ran.

    Exit code 0; 2 for an error.
    """
    flights = []
    reference = ReferenceWorkload()
    with options.open_store(results) as repository:
        for run_id, detector in _DETECTORS.items():
            with output.progress_bar(f"Flying {run_id}", hidden=as_json) as progress:
                flight = fly(_PLAN, detector, progress, reference)
            run = repository.save(
                run_id,
                flight.collector,
                provenance=Provenance(scenario="demo swarm", seed=_PLAN.seed, rig="simulated"),
                tags={"detector": detector.__name__},
            )
            flights.append(_flight_shape(detector, flight, run))
            if not as_json:
                _print_flight(detector, flight, run)
        headers = repository.recent(limit=10)
        comparison = repository.compare(_BASELINE, _CANDIDATE)
        origin = options.database_of(repository)
    if as_json:
        compared = shapes.comparison_shape(comparison, by_satellite=False)
        shape = {"recent": shapes.headers_shape(headers), "comparison": compared}
        output.print_json({**origin, "flights": flights, **shape})
    else:
        _print_outcome(results, origin["database"], headers, comparison)


def _print_flight(detector: type[Detector], flight: Flight, run: RunSummary) -> None:
    output.print_line(
        f"{run.run_id}: {_PLAN.satellites} satellites, {_PLAN.duration_s} simulated seconds "
        f"in {flight.elapsed_s:.2f} s with {detector.__name__}; {flight.recovered} of "
        f"{flight.injected} faults recovered, {flight.false_alarms} false alarms; "
        f"saved {run.total_measurements} measurements"
    )


def _print_outcome(
    results: Path, database: str, headers: list[RunHeader], comparison: Comparison
) -> None:
    output.print_line()
    print_headers(headers)
    output.print_line()
    print_comparison(comparison, by_satellite=False)
    output.print_line()
    for run_id in (comparison.baseline, comparison.candidate):
        output.print_line(f"files     {results / run_id}")
    output.print_line(f"database  {database}")


def _flight_shape(detector: type[Detector], flight: Flight, run: RunSummary) -> shapes.Shape:
    return {
        "detector": detector.__name__,
        "satellites": _PLAN.satellites,
        "simulated_s": _PLAN.duration_s,
        "elapsed_s": flight.elapsed_s,
        "faults": flight.injected,
        "recovered": flight.recovered,
        "false_alarms": flight.false_alarms,
        "run": shapes.run_shape(run),
    }
