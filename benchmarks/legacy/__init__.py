"""The two file-based variants that `astraguard_store` replaces.

Written here from the description of the old class: the same calls, the same
files, the same work a call. The benchmarks compare with them, so they are
neither slowed down nor tuned. `LatencyCollector` is shared by both.
"""

from benchmarks.legacy.collector import LatencyCollector, LatencyMeasurement
from benchmarks.legacy.sequential import SequentialStorage
from benchmarks.legacy.threaded import ThreadedStorage

__all__ = ["LatencyCollector", "LatencyMeasurement", "SequentialStorage", "ThreadedStorage"]
