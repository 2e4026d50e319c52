"""A small swarm in a loop: what `astraguard-store demo` measures.

The satellites, their telemetry and their faults are simulated, in simulated
time that nobody waits for. The detector, the agent and the recovery are real
code, and what is recorded is how long that code took on this machine
(`time.perf_counter`), times the plan's slowness, as an on-board computer is slower: two
flights of one plan see the same telemetry until a recovery differs, and never the same
durations.

    Swarm ── telemetry ──> Detector ── verdict ──> Agent ── action ──> Swarm.recover
                           fault_detection         agent_decision      recovery_action
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import sqrt
from time import perf_counter
from typing import NamedTuple, Protocol

from astraguard_store.latency import LatencyCollector
from astraguard_store.reference import ReferenceWorkload

TICKS_PER_SECOND = 10
ALARM_SCORE = 6.0  # in standard deviations; noise of 60 s x 20 satellites stays below it
WARM_UP_SAMPLES = 30
TASKS_PER_SATELLITE = 8


class Channel(NamedTuple):
    """One telemetry channel: its level and its noise, in its own unit."""

    level: float
    noise: float


# Bus voltage in V, battery temperature in degrees C, body rate in degrees/s, wheel current in A.
CHANNELS = (Channel(28.0, 0.05), Channel(20.0, 0.2), Channel(0.0, 0.01), Channel(0.4, 0.02))
BODY_RATE, WHEEL_CURRENT = 2, 3


class Verdict(NamedTuple):
    """What a detector says of one sample: the worst channel and how far out it is."""

    channel: int
    score: float


class Action(Enum):
    """What the agent may ask for, and for how many ticks that takes a satellite out of service."""

    OBSERVE = 0
    SHED_LOAD = 5
    SWITCH_SENSOR = 10
    SAFE_MODE = 20


class Detector(Protocol):
    """Looks at one satellite, sample by sample."""

    def update(self, sample: Sequence[float], /) -> Verdict:
        """Take the next sample and judge it."""


class RunningDeviation:
    """The quick detector: a running mean and variance a channel, constant work a sample."""

    forgetting = 0.02
    learns_below = 3.5  # a fault that grows slowly must not teach what is normal

    def __init__(self) -> None:
        self._seen = 0
        self._means = [0.0] * len(CHANNELS)
        self._variances = [0.0] * len(CHANNELS)

    def update(self, sample: Sequence[float]) -> Verdict:
        """Take the next sample and judge it."""
        self._seen += 1
        weight = max(self.forgetting, 1.0 / self._seen)
        warm = self._seen > WARM_UP_SAMPLES
        worst = Verdict(0, 0.0)
        for channel, value in enumerate(sample):
            distance = value - self._means[channel]
            spread = sqrt(self._variances[channel])
            score = abs(distance) / spread if warm and spread > 0.0 else 0.0
            if score > worst.score:
                worst = Verdict(channel, score)
            if score < self.learns_below:
                self._means[channel] += weight * distance
                grown = self._variances[channel] + weight * distance * distance
                self._variances[channel] = (1.0 - weight) * grown
        return worst


class MedianDeviation:
    """The slow detector: median and median deviation of the last 12 s, sorted anew each sample."""

    window_samples = 120

    def __init__(self) -> None:
        self._windows = [deque[float](maxlen=self.window_samples) for _ in CHANNELS]

    def update(self, sample: Sequence[float]) -> Verdict:
        """Take the next sample and judge it."""
        worst = Verdict(0, 0.0)
        for channel, value in enumerate(sample):
            window = self._windows[channel]
            if len(window) >= WARM_UP_SAMPLES:
                score = _robust_score(value, window)
                if score > worst.score:
                    worst = Verdict(channel, score)
            window.append(value)
        return worst


def _robust_score(value: float, window: Sequence[float]) -> float:
    median = sorted(window)[len(window) // 2]
    deviation = sorted(abs(other - median) for other in window)[len(window) // 2]
    # 1.4826 makes the median deviation of normal noise its standard deviation.
    return abs(value - median) / (1.4826 * deviation) if deviation > 0.0 else 0.0


class Fault(NamedTuple):
    """A channel of one satellite drifts away from a tick on, in noise widths."""

    satellite: int
    channel: int
    from_tick: int
    size: float


@dataclass(frozen=True, slots=True)
class FlightPlan:
    """What a flight consists of; the same plan gives the same faults and noise.

    Attributes:
        satellites: How many fly.
        duration_s: Simulated seconds.
        faults: How many strike in time to be found.
        seed: Of faults and noise.
        late_faults: How many strike just before the end, so that nobody finds them: they are
            recorded as missed.
        slowness: How many times slower the on-board computer is than this machine.
    """

    satellites: int = 20
    duration_s: int = 60
    faults: int = 8
    seed: int = 1
    late_faults: int = 0
    slowness: float = 1.0

    @property
    def ticks(self) -> int:
        """Ticks of the simulation, 10 a simulated second."""
        return self.duration_s * TICKS_PER_SECOND

    @property
    def late_from_tick(self) -> int:
        """Tick at which the late faults strike: too late for the agent to act on one."""
        return self.ticks - Agent.confirmations + 1

    def injected(self) -> list[Fault]:
        """Draw the faults: a third of the way in at the earliest, one a satellite."""
        draw = random.Random(self.seed)  # noqa: S311 - a scenario, not a secret
        earliest, latest = self.ticks // 3, self.ticks * 4 // 5
        return [
            Fault(
                satellite,
                draw.randrange(len(CHANNELS)),
                draw.randint(earliest, latest),
                draw.uniform(12.0, 20.0),
            )
            for satellite in draw.sample(range(self.satellites), self.faults)
        ]


class Swarm:
    """The simulated satellites: telemetry out, recovery actions in."""

    ramp_ticks = 4  # a fault reaches its size within 0.4 s

    def __init__(self, plan: FlightPlan) -> None:
        self._tick = -1
        # A generator a satellite: a recovery of one leaves the noise of the others alone.
        self._noise = [random.Random(f"{plan.seed}/{i}") for i in range(plan.satellites)]  # noqa: S311
        self._faults = {fault.satellite: fault for fault in plan.injected()}
        self._loads = [TASKS_PER_SATELLITE] * plan.satellites
        self._back_in_service = [-1] * plan.satellites

    def advance(self) -> None:
        """Go on by one tick."""
        self._tick += 1

    def telemetry(self, satellite: int) -> list[float]:
        """Return the sample of this tick, in the order and units of `CHANNELS`."""
        gauss = self._noise[satellite].gauss
        sample = [channel.level + gauss(0.0, channel.noise) for channel in CHANNELS]
        # Work draws current: a tenth of the noise a task, so it stays below any alarm.
        tasks = self._loads[satellite] - TASKS_PER_SATELLITE
        sample[WHEEL_CURRENT] += 0.1 * tasks * CHANNELS[WHEEL_CURRENT].noise
        fault = self._faults.get(satellite)
        if fault is not None and self._tick >= fault.from_tick:
            grown = min(1.0, (self._tick - fault.from_tick + 1) / self.ramp_ticks)
            sample[fault.channel] += grown * fault.size * CHANNELS[fault.channel].noise
        return sample

    def in_recovery(self, satellite: int) -> bool:
        """Tell whether the satellite is still recovering."""
        return self._back_in_service[satellite] > self._tick

    def recover(self, satellite: int, action: Action) -> bool:
        """Carry an action out and share the tasks out anew.

        Returns:
            Whether a fault was there to be cured.
        """
        fault = self._faults.get(satellite)
        cured = fault is not None and fault.from_tick <= self._tick
        if cured:
            del self._faults[satellite]
        self._back_in_service[satellite] = self._tick + action.value
        self._share_tasks()
        return cured

    def _share_tasks(self) -> None:
        """Give each task to the least loaded satellite in service."""
        working = [(0, i) for i in range(len(self._loads)) if not self.in_recovery(i)]
        self._loads = [0] * len(self._loads)
        for _ in range(TASKS_PER_SATELLITE * len(self._loads) if working else 0):
            load, satellite = working[0]
            heapq.heapreplace(working, (load + 1, satellite))
            self._loads[satellite] = load + 1


class Agent:
    """Chooses an action by rules over one verdict and the state of the swarm."""

    confirmations = 3  # alarms in a row: single outliers are noise
    most_in_recovery = 0.25  # of the swarm; the rest has to fly on

    def __init__(self, swarm: Swarm, satellites: int) -> None:
        self._swarm = swarm
        self._alarms = [0] * satellites

    def decide(self, satellite: int, verdict: Verdict) -> Action:
        """Return what to do about the satellite in this tick."""
        if verdict.score < ALARM_SCORE or self._swarm.in_recovery(satellite):
            self._alarms[satellite] = 0
            return Action.OBSERVE
        self._alarms[satellite] += 1
        if self._alarms[satellite] < self.confirmations:
            return Action.OBSERVE
        recovering = sum(map(self._swarm.in_recovery, range(len(self._alarms))))
        if recovering >= self.most_in_recovery * len(self._alarms):
            return Action.OBSERVE
        if verdict.channel == BODY_RATE:
            return Action.SAFE_MODE
        return Action.SHED_LOAD if verdict.channel == WHEEL_CURRENT else Action.SWITCH_SENSOR


@dataclass(frozen=True, slots=True)
class Flight:
    """What a flight left: the measured latencies and what became of the faults."""

    collector: LatencyCollector
    injected: int
    recovered: int
    false_alarms: int
    elapsed_s: float
    missed: int = 0


def fly(
    plan: FlightPlan,
    new_detector: Callable[[], Detector],
    progress: Callable[[int, int], None] | None = None,
    reference: ReferenceWorkload | None = None,
) -> Flight:
    """Fly the plan once with a detector a satellite, and time what runs.

    Args:
        plan: Satellites, simulated seconds, faults and seed.
        new_detector: Makes the detector of one satellite.
        progress: Called with ticks done and ticks in all, each simulated second.
        reference: Timed once a tick, after the satellites.

    Returns:
        The flight; its collector holds one `fault_detection` and one
        `agent_decision` a satellite and tick, and one `recovery_action` a recovery.
    """
    started = perf_counter()
    collector, swarm = LatencyCollector(), Swarm(plan)
    agent = Agent(swarm, plan.satellites)
    crew = [(i, f"SAT{i + 1:03d}", new_detector()) for i in range(plan.satellites)]
    cured: list[bool] = []  # one a recovery: was there a fault?
    slow_ms = 1000.0 * plan.slowness
    for tick in range(plan.ticks):
        time_s = tick / TICKS_PER_SECOND
        swarm.advance()
        for satellite, name, detector in crew:
            sample = swarm.telemetry(satellite)
            began = perf_counter()
            verdict = detector.update(sample)
            detected = perf_counter()
            action = agent.decide(satellite, verdict)
            decided = perf_counter()
            collector.record_fault_detection(name, time_s, (detected - began) * slow_ms)
            collector.record_agent_decision(name, time_s, (decided - detected) * slow_ms)
            if action is not Action.OBSERVE:
                began = perf_counter()
                cured.append(swarm.recover(satellite, action))
                took_ms = (perf_counter() - began) * slow_ms
                collector.record_recovery_action(name, time_s, took_ms)
        if reference is not None:
            reference.record(collector, time_s)
        if progress is not None and (tick + 1) % TICKS_PER_SECOND == 0:
            progress(tick + 1, plan.ticks)
    # Until the end nobody had found what struck too late.
    waited_ms = (plan.ticks - plan.late_from_tick) / TICKS_PER_SECOND * 1000.0
    for _, name, _ in crew[: plan.late_faults]:
        struck_s = plan.late_from_tick / TICKS_PER_SECOND
        collector.record_missed("fault_detection", name, struck_s, waited_ms)
    return Flight(
        collector,
        injected=len(plan.injected()),
        recovered=sum(cured),
        false_alarms=cured.count(False),
        elapsed_s=perf_counter() - started,
        missed=plan.late_faults,
    )
