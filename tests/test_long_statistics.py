"""Statistics of runs that lie in a file: the same numbers, in memory that doesn't grow."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astraguard_store import long_statistics, statistics
from astraguard_store.columns import Columns, pack_row
from astraguard_store.statistics import RunStatistics, summarize

LABELS = [("a", "S1"), ("a", "S1"), ("a", "S2"), ("b", "S1"), ("b", "S2")]
MISSED = (1, 4)
# Of each kind: ties, both zeros, the smallest and the largest, and what differs in its last bits.
durations = st.one_of(
    st.floats(min_value=0.0, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, 1.7e308, 4.2, 4.2000000000000001, 4.200000000000001]),
)


def in_file(rows: list[tuple[float, int]]) -> Columns:
    """Give (duration, label number) rows as they come of a file."""
    packed = b"".join(pack_row(1.0, duration, 0.0, code) for duration, code in rows)
    return Columns([(packed, len(packed))], LABELS, MISSED, is_in_file=True)


def in_parts(columns: Columns, monkeypatch: pytest.MonkeyPatch) -> RunStatistics:
    """Give the statistics that are found in the file, a few durations at a time."""
    with monkeypatch.context() as patch:
        patch.setattr(statistics, "_LONG_ROWS", 1)
        patch.setattr(long_statistics, "_BATCH_ROWS", 5)
        patch.setattr(long_statistics, "_MOST_SORTED", 3)
        return summarize(columns, satellite_buckets=True)


@given(rows=st.lists(st.tuples(durations, st.integers(0, len(LABELS) - 1)), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_they_are_those_of_a_run_in_memory(
    rows: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = in_file(rows)

    found = in_parts(columns, monkeypatch)

    # The text tells 0.0 from -0.0, and the order of names.
    assert repr(found) == repr(summarize(columns, satellite_buckets=True))


def test_names_come_in_the_order_of_their_first_event(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = in_file([(1.0, 3)] * 7 + [(1.0, 2)] * 7 + [(1.0, 1)])

    found = in_parts(columns, monkeypatch)

    assert (list(found.metrics), list(found.satellites)) == (["b", "a"], ["S1", "S2"])


def test_memory_does_not_grow_with_the_run() -> None:
    code = """
import resource
import numpy as np
from astraguard_store.columns import Columns
from astraguard_store.statistics import summarize
from astraguard_store.system.spill import Spill

def peak(rows):
    spill = Spill()
    for first in range(0, rows, 100_000):
        part = np.zeros((100_000, 4))
        part[:, 1] = np.arange(first, first + 100_000) % 1000
        part.view(np.int64)[:, 3] = np.arange(100_000) % 7
        spill.append(part.tobytes())
    labels = [("a", f"S{n}") for n in range(7)]
    assert summarize(Columns([(spill, len(spill))], labels, is_in_file=True)).metrics
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

print(-peak(2_000_000) + peak(4_000_000))
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    # In memory it was 46 bytes for each of 2,000,000 more, 90,000 kB.
    assert int(done.stdout) < 30_000


def test_a_full_temporary_folder_is_said() -> None:
    code = """
import resource
from astraguard_store import ArtifactWriteError, statistics
from astraguard_store.columns import Columns, pack_row
rows = pack_row(1.0, 2.0, 0.0, 0) * 100
statistics._LONG_ROWS = 1
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    statistics.summarize(Columns([(rows, len(rows))], [("a", "S1")], is_in_file=True))
except ArtifactWriteError as error:
    print(error)
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "name a folder with room by TMPDIR" in done.stdout
