"""The swarm loop of the demo: simulated telemetry, real code, measured durations."""

import time
from collections.abc import Sequence

import pytest

from astraguard_store.demo import (
    ALARM_SCORE,
    CHANNELS,
    Action,
    Agent,
    Detector,
    FlightPlan,
    MedianDeviation,
    RunningDeviation,
    Swarm,
    Verdict,
    fly,
)

SMALL = FlightPlan(satellites=6, duration_s=20, faults=3, seed=7)


def _telemetry(plan: FlightPlan) -> list[list[float]]:
    swarm = Swarm(plan)
    samples = []
    for _ in range(plan.ticks):
        swarm.advance()
        samples += [swarm.telemetry(satellite) for satellite in range(plan.satellites)]
    return samples


def test_one_plan_gives_one_telemetry() -> None:
    first, again = _telemetry(SMALL), _telemetry(SMALL)

    assert first == again


def test_another_seed_gives_other_faults() -> None:
    other = FlightPlan(SMALL.satellites, SMALL.duration_s, SMALL.faults, seed=8)

    assert other.injected() != SMALL.injected()


def test_faults_strike_each_satellite_once_within_the_flight() -> None:
    faults = FlightPlan().injected()

    assert len({fault.satellite for fault in faults}) == len(faults) == 8
    assert all(0 < fault.from_tick < FlightPlan().ticks for fault in faults)


@pytest.mark.parametrize("detector", [RunningDeviation, MedianDeviation])
@pytest.mark.parametrize("seed", range(5))
def test_detectors_find_every_fault_and_nothing_else(detector: type[Detector], seed: int) -> None:
    plan = FlightPlan(satellites=6, duration_s=20, faults=3, seed=seed)

    flight = fly(plan, detector)

    assert (flight.injected, flight.recovered, flight.false_alarms) == (3, 3, 0)


def test_every_satellite_and_tick_is_measured() -> None:
    flight = fly(SMALL, RunningDeviation)

    stats = flight.collector.get_stats()
    served = SMALL.satellites * SMALL.ticks
    assert stats["fault_detection"]["count"] == served
    assert stats["agent_decision"]["count"] == served
    assert stats["recovery_action"]["count"] == flight.recovered
    assert len(flight.collector.get_stats_by_satellite()) == SMALL.satellites


def test_scenario_times_are_simulated_and_durations_are_not() -> None:
    flight = fly(SMALL, RunningDeviation)

    measurements = flight.collector.measurements
    measured_s = sum(measurement.duration_ms for measurement in measurements) / 1000
    assert measurements[-1].scenario_time_s == SMALL.duration_s - 0.1
    assert 0 < measured_s < flight.elapsed_s < SMALL.duration_s


def test_what_is_recorded_is_the_time_that_the_detector_took() -> None:
    class Sleeper:
        def update(self, sample: Sequence[float], /) -> Verdict:
            time.sleep(0.002)
            return Verdict(len(sample) - 1, 0.0)

    flight = fly(FlightPlan(satellites=1, duration_s=1, faults=0), Sleeper)

    stats = flight.collector.get_stats()["fault_detection"]
    assert stats["count"] == 10
    assert stats["min_ms"] >= 2.0


def test_progress_is_told_each_simulated_second() -> None:
    told: list[tuple[int, int]] = []

    fly(SMALL, RunningDeviation, lambda done, total: told.append((done, total)))

    assert told == [(second * 10, 200) for second in range(1, 21)]


def test_the_agent_acts_on_the_third_alarm_in_a_row() -> None:
    swarm = Swarm(SMALL)
    agent = Agent(swarm, SMALL.satellites)
    alarm = Verdict(0, ALARM_SCORE)

    decisions = [agent.decide(0, verdict) for verdict in (alarm, alarm, alarm)]

    assert decisions == [Action.OBSERVE, Action.OBSERVE, Action.SWITCH_SENSOR]


def test_a_quiet_sample_starts_the_count_of_alarms_again() -> None:
    agent = Agent(Swarm(SMALL), SMALL.satellites)
    alarm, quiet = Verdict(0, ALARM_SCORE), Verdict(0, 0.0)

    decisions = [agent.decide(0, verdict) for verdict in (alarm, alarm, quiet, alarm, alarm)]

    assert set(decisions) == {Action.OBSERVE}


def test_the_agent_leaves_three_quarters_of_the_swarm_in_service() -> None:
    swarm = Swarm(FlightPlan(satellites=4, faults=0))
    agent = Agent(swarm, 4)
    swarm.advance()
    swarm.recover(3, Action.SAFE_MODE)

    decisions = [agent.decide(0, Verdict(0, 99.0)) for _ in range(10)]

    assert set(decisions) == {Action.OBSERVE}


def test_recovery_cures_the_fault_and_hands_the_tasks_to_the_others() -> None:
    plan = FlightPlan(satellites=4, duration_s=20, faults=4, seed=3)
    swarm = Swarm(plan)
    fault = plan.injected()[0]
    for _ in range(plan.ticks):
        swarm.advance()

    assert swarm.recover(fault.satellite, Action.SAFE_MODE)
    assert not swarm.recover(fault.satellite, Action.SAFE_MODE)

    channel = CHANNELS[fault.channel]
    value = swarm.telemetry(fault.satellite)[fault.channel]
    assert abs(value - channel.level) < ALARM_SCORE * channel.noise
    assert swarm.in_recovery(fault.satellite)
