"""Times sides in turn, each once a round, after a warm-up, so that a drift hits all alike."""

from __future__ import annotations

import gc
import random
import sys
import time
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal, TextIO

from benchmarks.results import OURS, OURS_NORMAL, Section, Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path


Durability = Literal["full", "normal"]

FEWEST_ROUNDS = 3
"""With fewer, the median is one sample, or half of it: one hiccup decides."""


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do the work that a question is about.

    A sample is the time of `calls` calls, divided by the operations done in it.

    Attributes:
        name: Column of the tables.
        call: What is timed; it is given what `prepare` returned.
        prepare: Called before each sample, not timed.
        calls: Calls in a sample: more than one where a call takes microseconds.
        anew: Prepare before each call instead, and add up the calls' times.
        operations: Operations that one call does.
    """

    name: str
    call: Callable[[Any], object]
    prepare: Callable[[], Any] = _nothing
    calls: int = 1
    operations: int = 1
    anew: bool = False


def again(name: str, call: Callable[..., object], *arguments: object, calls: int = 1) -> Side:
    """Return the side that calls *call* with the same arguments again and again."""
    return Side(name, lambda _: call(*arguments), calls=calls)


def each_once(
    name: str,
    call: Callable[..., object],
    subjects: Iterator[tuple[object, ...]],
    calls: int = 1,
) -> Side:
    """Return the side that calls *call* with the arguments that *subjects* gives next."""
    return Side(name, lambda some: call(*next(some)), lambda: subjects, calls=calls)


@dataclass(slots=True)
class Progress:
    """Says on *stream* what is being measured and how far it is."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    started: float = field(default_factory=time.perf_counter)

    def say(self, text: str) -> None:
        """Write one line with the seconds since the start."""
        seconds = time.perf_counter() - self.started
        print(f"[{seconds:5.0f} s] {text}", file=self.stream, flush=True)

    def tick(self, title: str, done: int, rounds: int) -> None:
        """Rewrite the line of the section at work; only on a terminal."""
        if self.stream.isatty():
            end = "\n" if done == rounds else ""
            print(f"\r          {title}: {done}/{rounds}", end=end, file=self.stream, flush=True)


@dataclass(frozen=True, slots=True)
class Bench:
    """Folder, sizes and progress that a question is measured with.

    Attributes:
        folder: Empty folder for everything that the questions write.
        quick: Fewer rounds and smaller sizes.
        durabilities: `full`, `normal` or both, in this order.
        progress: Where progress is printed.
    """

    folder: Path
    quick: bool
    durabilities: tuple[Durability, ...] = ("full", "normal")
    progress: Progress = field(default_factory=Progress)

    def size(self, full: int, quick: int) -> int:
        """Return the one of two sizes, or numbers of rounds, that is asked for."""
        return quick if self.quick else full

    def ours(self) -> list[tuple[str, Durability]]:
        """Return name and durability of our sides."""
        return [
            (OURS if durability == "full" else OURS_NORMAL, durability)
            for durability in self.durabilities
        ]

    def measure(
        self,
        key: str,
        title: str,
        sides: Sequence[Side],
        *,
        rounds: int,
        warm_up: int = 1,
        reduced: bool = False,
    ) -> Section:
        """Time *sides* in turn and return their spreads in seconds an operation.

        With fewer rounds than `FEWEST_ROUNDS` the section is reduced, too.
        """
        self.progress.say(f"{title}: {len(sides)} sides, {rounds} rounds")
        samples = interleave(
            sides,
            rounds=rounds,
            warm_up=warm_up,
            tick=lambda done: self.progress.tick(title, done, rounds),
        )
        return section(key, title, samples, reduced=reduced or rounds < FEWEST_ROUNDS)


def section(
    key: str,
    title: str,
    samples: dict[str, list[float]],
    *,
    unit: str = "s",
    reduced: bool = False,
) -> Section:
    """Return a section of samples taken by other means than `measure`."""
    spreads = {name: Spread.of(values) for name, values in samples.items()}
    return Section(key, title, unit, spreads, reduced)


def interleave(
    sides: Iterable[Side],
    *,
    rounds: int,
    warm_up: int = 1,
    tick: Callable[[int], None] = lambda _: None,
) -> dict[str, list[float]]:
    """Return the samples (s an operation) of *sides*, timed in turn: A B, B A, A B ….

    The order changes from round to round, but is the same in every run. Otherwise a side
    would always find the processor's caches as the same other side leaves them. A side that
    follows one of the same code, or of the same files, is up to a fifth faster.

    Objects that exist when it begins are hidden from the garbage collector
    (`gc.freeze`). Otherwise the objects of one side (100,000 measurements are as many
    objects in the old collector) would be walked on the other side's time. What a side allocates
    while it is timed is collected as always.
    """
    ordered = tuple(sides)
    draw = random.Random(len(ordered))
    samples: dict[str, list[float]] = {side.name: [] for side in ordered}
    gc.collect()
    gc.freeze()
    try:
        for _ in range(warm_up):
            for side in ordered:
                _sample(side)
        for done in range(rounds):
            for side in draw.sample(ordered, len(ordered)):
                samples[side.name].append(_sample(side))
            tick(done + 1)
    finally:
        gc.unfreeze()
    return samples


def _sample(side: Side) -> float:
    if side.anew:
        one_by_one = replace(side, calls=1, anew=False)
        return sum(_sample(one_by_one) for _ in range(side.calls)) / side.calls
    subject = side.prepare()
    call = side.call
    calls = repeat(None, side.calls)
    start = time.perf_counter()
    for _ in calls:
        call(subject)
    return (time.perf_counter() - start) / (side.calls * side.operations)
