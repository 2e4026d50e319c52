"""`astraguard-store demo`."""

from dataclasses import dataclass
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
from astraguard_store.repository import RunRepository

_PLAN = FlightPlan()
_BASELINE, _CANDIDATE = "demo-quick", "demo-slow"
_DETECTORS: dict[str, type[Detector]] = {
    _BASELINE: RunningDeviation,
    _CANDIDATE: MedianDeviation,
}


@dataclass(frozen=True, slots=True)
class _SavedFlight:
    detector: str
    flight: Flight
    run: RunSummary


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
    with RunRepository.open(results) as repository:
        saved = [_fly_and_save(repository, run_id, quiet=as_json) for run_id in _DETECTORS]
        headers = repository.recent(limit=10)
        comparison = repository.compare(_BASELINE, _CANDIDATE)
        origin = options.database_of(repository)
    if as_json:
        output.print_json(
            {
                **origin,
                "flights": [_flight_shape(flight) for flight in saved],
                "recent": shapes.headers_shape(headers),
                "comparison": shapes.comparison_shape(comparison, by_satellite=False),
            }
        )
    else:
        _print_outcome(results, origin["database"], headers, comparison)


def _fly_and_save(repository: RunRepository, run_id: str, *, quiet: bool) -> _SavedFlight:
    detector = _DETECTORS[run_id]
    with output.progress_bar(f"Flying {run_id}", hidden=quiet) as progress:
        flight = fly(_PLAN, detector, progress)
    run = repository.save(
        run_id,
        flight.collector,
        provenance=Provenance(scenario="demo swarm", seed=_PLAN.seed, rig="simulated"),
        tags={"detector": detector.__name__},
    )
    saved = _SavedFlight(detector.__name__, flight, run)
    if not quiet:
        _print_flight(saved)
    return saved


def _print_flight(saved: _SavedFlight) -> None:
    flight = saved.flight
    output.print_line(
        f"{saved.run.run_id}: {_PLAN.satellites} satellites, {_PLAN.duration_s} simulated seconds "
        f"in {flight.elapsed_s:.2f} s with {saved.detector}; {flight.recovered} of "
        f"{flight.injected} faults recovered, {flight.false_alarms} false alarms; "
        f"saved {saved.run.total_measurements} measurements"
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


def _flight_shape(saved: _SavedFlight) -> shapes.Shape:
    return {
        "detector": saved.detector,
        "satellites": _PLAN.satellites,
        "simulated_s": _PLAN.duration_s,
        "elapsed_s": saved.flight.elapsed_s,
        "faults": saved.flight.injected,
        "recovered": saved.flight.recovered,
        "false_alarms": saved.flight.false_alarms,
        "run": shapes.run_shape(saved.run),
    }
