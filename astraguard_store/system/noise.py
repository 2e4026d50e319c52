"""Sampling what else the machine does, from ``/proc`` and ``/sys``; what isn't there is None.

A sample takes some 100 µs and reads, so it is for a thread of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from astraguard_store.noise import MachineNoise

_PROC: Final = Path("/proc")
# Of a line `cpu` of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal;
# guest and guest_nice are part of user and nice.
_COUNTED_TIMES: Final = 8
_STEAL: Final = 7
# A tick is 10 ms: one that is stolen is 40 % of the 12 ms between two samples on two processors,
# and 1 % of half a second of one. At the start and the end two samples lie so close.
_STEAL_OVER_S: Final = 0.5


class _Sample(NamedTuple):
    load: float | None
    steal: float | None
    pressure: float | None
    frequency_mhz: float | None


class NoiseMeter:
    """Takes samples, and knows the first, the last and the worst of each value.

    One thread uses it.

    Args:
        proc: Where the kernel tells of the machine; another folder in tests.
    """

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._times = self._cpu_times()
        self._share: float | None = None
        self._least_ticks = _STEAL_OVER_S * os.sysconf("SC_CLK_TCK") * self._processors()
        self._first: _Sample | None = None
        self._last: _Sample | None = None
        self._worst: _Sample | None = None

    def sample(self) -> None:
        """Take a sample."""
        now = _Sample(self._load(), self._steal(), self._pressure(), self._frequency_mhz())
        self._last = now
        self._first = _filled(self._first, now)
        self._worst = now if self._worst is None else _worse(self._worst, now)

    def noise(self) -> MachineNoise | None:
        """Return what was seen so far; None before the first sample."""
        if self._first is None or self._last is None or self._worst is None:
            return None
        values: dict[str, float | None] = {}
        for when, sample in zip(
            ("start", "end", "worst"), (self._first, self._last, self._worst), strict=True
        ):
            values |= {f"{name}_{when}": value for name, value in sample._asdict().items()}
        return MachineNoise(processors=len(os.sched_getaffinity(0)), **values)

    def _load(self) -> float | None:
        return _number(_words(self._proc / "loadavg"), 0)

    def _steal(self) -> float | None:
        """Return the share of the last time that was long enough; None before one was."""
        before, now = self._times, self._cpu_times()
        if before is None or now is None:
            self._times = now
            return None
        spent = [late - early for late, early in zip(now, before, strict=True)]
        total = sum(spent)
        if total >= self._least_ticks:
            self._share = max(0.0, spent[_STEAL] / total)
        if total >= self._least_ticks or total < 0:
            self._times = now
        return self._share

    def _cpu_times(self) -> list[int] | None:
        words = _words(self._proc / "stat")[: 1 + _COUNTED_TIMES]
        try:
            times = [int(word) for word in words[1:]]
        except ValueError:
            return None
        return times if words[:1] == ["cpu"] and len(times) == _COUNTED_TIMES else None

    def _processors(self) -> int:
        """Return of how many the times are the sum."""
        lines = _text(self._proc / "stat").splitlines()
        return sum(line[:3] == "cpu" and line[3:4].isdigit() for line in lines) or 1

    def _pressure(self) -> float | None:
        # some avg10=1.23 avg60=…
        words = _words(self._proc / "pressure" / "cpu")
        if words[:1] != ["some"]:
            return None
        percent = _number([word.removeprefix("avg10=") for word in words], 1)
        return None if percent is None else percent / 100

    def _frequency_mhz(self) -> float | None:
        found = []
        for line in _text(self._proc / "cpuinfo").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "cpu MHz":
                found.append(_number([value], 0))
        known = [mhz for mhz in found if mhz is not None]
        return sum(known) / len(known) if known else None


def _filled(first: _Sample | None, now: _Sample) -> _Sample:
    """Return the first sample, what it couldn't tell yet taken from this one."""
    if first is None:
        return now
    pairs = zip(first, now, strict=True)
    return _Sample(*(new if old is None else old for old, new in pairs))


def _worse(worst: _Sample, now: _Sample) -> _Sample:
    """Return the worst of both in each value: the highest, but of frequencies the lowest."""
    pairs = [
        [value for value in pair if value is not None] for pair in zip(worst, now, strict=True)
    ]
    highest = [max(pair, default=None) for pair in pairs[:-1]]
    return _Sample._make([*highest, min(pairs[-1], default=None)])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _words(path: Path) -> list[str]:
    """Return the words of the first line."""
    return _text(path).partition("\n")[0].split()


def _number(words: list[str], place: int) -> float | None:
    try:
        number = float(words[place])
    except (IndexError, ValueError):
        return None
    return number if 0 <= number < float("inf") else None
