"""LatencyCollector: records latencies while a scenario runs, and answers questions about them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Any, Final, SupportsIndex, overload
from weakref import WeakSet

from astraguard_store.checks import check_non_negative, check_recorded_name
from astraguard_store.columns import BLOCK_BYTES, ROW_BYTES, Columns, Label, pack_row
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.formats import summary as summary_format
from astraguard_store.formats.csv import render_csv
from astraguard_store.model import LatencyMeasurement
from astraguard_store.statistics import summarize
from astraguard_store.system.file_limit import tells_the_file_limit
from astraguard_store.system.forks import in_forked_child

FAULT_DETECTION: Final = "fault_detection"
AGENT_DECISION: Final = "agent_decision"
RECOVERY_ACTION: Final = "recovery_action"
REFERENCE: Final = "reference"


class LatencyCollector:
    """Collects the latencies of one run.

    A measurement takes 32 bytes, with the spare room of the growing block never
    more than 36, and one label for each satellite and metric type. Memory grows
    in blocks of 128 KiB that are never copied once full, so recording has no
    pauses that grow with the run.

    Threads may record, read and save at the same time. Recording takes no lock:
    a row is packed first and then appended by one C call, so none is torn or
    lost, and no recorder ever waits for another, or for a save. Only once in
    4,096 measurements a lock is held, to begin a new block.
    """

    def __init__(self) -> None:
        # Reentrant: a finalizer or a signal's handler may record while this thread holds it.
        self._lock = threading.RLock()
        self._labels: list[Label] = []
        # Of each label; as long as `_labels`, or longer while one is added.
        self._are_missed: list[bool] = []
        # {metric type: {satellite: label number}}, of measured and of missed events
        self._codes: dict[str, dict[str, int]] = {}
        self._missed_codes: dict[str, dict[str, int]] = {}
        # A dict for each metric type on the way of every measurement.
        self._fault_codes = self._codes[FAULT_DETECTION] = {}
        self._decision_codes = self._codes[AGENT_DECISION] = {}
        self._recovery_codes = self._codes[RECOVERY_ACTION] = {}
        self._full: list[bytearray] = []
        self._block = bytearray()
        _collectors.add(self)

    def record(
        self, metric_type: str, satellite_id: str, scenario_time_s: float, duration_ms: float
    ) -> None:
        """Record a latency of any kind.

        Args:
            metric_type: What was measured, not empty or blank.
            satellite_id: On which satellite, not empty or blank.
            scenario_time_s: Seconds since the scenario's start, at least 0.
            duration_ms: Milliseconds, at least 0.

        Raises:
            InvalidRunError: A value is not as above; nothing was recorded. It is
                a ValueError whose message begins with ``Invalid`` and the
                parameter's name.
        """
        try:
            code = self._codes[metric_type][satellite_id]
        except (KeyError, TypeError):
            code = self._new_code(self._codes, metric_type, satellite_id)
        self._record(code, scenario_time_s, duration_ms, "duration_ms")

    def record_fault_detection(
        self, sat_id: str, scenario_time_s: float, detection_delay_ms: float
    ) -> None:
        """Record how long it took to detect a fault on satellite *sat_id*.

        Args:
            sat_id: The satellite, not empty or blank.
            scenario_time_s: Seconds since the scenario's start, at least 0.
            detection_delay_ms: Milliseconds, at least 0.

        Raises:
            InvalidRunError: As `record`.
        """
        try:
            code = self._fault_codes[sat_id]
        except (KeyError, TypeError):
            code = self._new_code(self._codes, FAULT_DETECTION, sat_id, "sat_id")
        self._record(code, scenario_time_s, detection_delay_ms, "detection_delay_ms")

    def record_agent_decision(
        self, sat_id: str, scenario_time_s: float, decision_time_ms: float
    ) -> None:
        """Record how long an agent took to decide, ms.

        Args:
            sat_id: As in `record_fault_detection`.
            scenario_time_s: Seconds since the scenario's start, at least 0.
            decision_time_ms: Milliseconds, at least 0.

        Raises:
            InvalidRunError: As `record`.
        """
        try:
            code = self._decision_codes[sat_id]
        except (KeyError, TypeError):
            code = self._new_code(self._codes, AGENT_DECISION, sat_id, "sat_id")
        self._record(code, scenario_time_s, decision_time_ms, "decision_time_ms")

    def record_recovery_action(
        self, sat_id: str, scenario_time_s: float, action_time_ms: float
    ) -> None:
        """Record how long a recovery action took, ms.

        Args:
            sat_id: As in `record_fault_detection`.
            scenario_time_s: Seconds since the scenario's start, at least 0.
            action_time_ms: Milliseconds, at least 0.

        Raises:
            InvalidRunError: As `record`.
        """
        try:
            code = self._recovery_codes[sat_id]
        except (KeyError, TypeError):
            code = self._new_code(self._codes, RECOVERY_ACTION, sat_id, "sat_id")
        self._record(code, scenario_time_s, action_time_ms, "action_time_ms")

    def record_reference(
        self, duration_ms: float, scenario_time_s: float = 0.0, *, version: str = "reference"
    ) -> None:
        """Record how long a fixed piece of work took, such as `ReferenceWorkload`.

        It is recorded as metric type ``reference``, which no gate judges: a gate uses it
        to tell a slower machine from slower software. Once a tick is enough.

        Args:
            duration_ms: Milliseconds, at least 0.
            scenario_time_s: Seconds since the scenario's start, at least 0.
            version: Which work it was: runs whose references differ in it aren't
                compared by them. It takes the place of the satellite.

        Raises:
            InvalidRunError: As `record`.
        """
        self.record(REFERENCE, version, scenario_time_s, duration_ms)

    def record_missed(
        self, metric_type: str, satellite_id: str, scenario_time_s: float, waited_ms: float
    ) -> None:
        """Record an event that never came: a fault not detected, a recovery that timed out.

        It counts as an event of *metric_type* that took longer than all measured
        ones: no percentile looks better for it. In the mean, the smallest and the
        largest it stands at what was waited, so these are lower bounds then.

        Args:
            metric_type: What did not come, such as ``fault_detection``.
            satellite_id: On which satellite.
            scenario_time_s: Seconds since the scenario's start, at least 0.
            waited_ms: Milliseconds that were waited for it, at least 0.

        Raises:
            InvalidRunError: As `record`.
        """
        try:
            code = self._missed_codes[metric_type][satellite_id]
        except (KeyError, TypeError):
            code = self._new_code(self._missed_codes, metric_type, satellite_id)
        self._record(code, scenario_time_s, waited_ms, "waited_ms")

    def _record(
        self, code: int, scenario_time_s: float, duration_ms: float, parameter: str
    ) -> None:
        # Two exact floats are checked here, anything else in the functions.
        if not (
            type(duration_ms) is float is type(scenario_time_s)
            and 0.0 <= duration_ms < inf
            and 0.0 <= scenario_time_s < inf
        ):
            scenario_time_s = check_non_negative(scenario_time_s, "scenario_time_s")
            duration_ms = check_non_negative(duration_ms, parameter)
        block = self._block
        block.extend(pack_row(time.time(), duration_ms, scenario_time_s, code))
        if len(block) >= BLOCK_BYTES:
            self._begin_block(block)

    def _new_code(
        self,
        codes_by_type: dict[str, dict[str, int]],
        metric_type: object,
        satellite_id: object,
        parameter: str = "satellite_id",
    ) -> int:
        label = (
            check_recorded_name(metric_type, "metric_type"),
            check_recorded_name(satellite_id, parameter),
        )
        with self._lock:
            codes = codes_by_type.setdefault(label[0], {})
            if label[1] not in codes:
                # The label first: whoever sees the code finds it.
                self._are_missed.append(codes_by_type is self._missed_codes)
                self._labels.append(label)
                codes[label[1]] = len(self._labels) - 1
            return codes[label[1]]

    def _begin_block(self, full: bytearray) -> None:
        with self._lock:
            new = bytearray()
            # A thread that still holds the full block may add its row to it;
            # the block just gets a row longer.
            if self._block is full:
                blocks = [*self._full, full]
                # No call in between, in which a fork could copy one without the other.
                self._full, self._block = blocks, new

    def snapshot(self) -> Columns:
        """Return what is recorded up to now; costs nothing that grows with its length."""
        with self._lock:
            blocks = [(block, len(block)) for block in (*self._full, self._block)]
            return Columns(blocks, self._labels, self._numbers_of_missed())

    def _numbers_of_missed(self) -> list[int]:
        return [code for code, is_missed in enumerate(self._are_missed) if is_missed]

    def blocks(self) -> list[bytearray]:
        """Return the blocks of packed rows, the last one growing; takes no lock.

        A thread that still holds a full block may make it a row longer.
        """
        while True:
            full, block = self._full, self._block
            if self._full is full:
                # Between both, the block that is full may still be the growing one, too.
                return full if full and full[-1] is block else [*full, block]

    def labels_from(self, number: int) -> list[tuple[str, str, bool]]:
        """Return (metric type, satellite, whether of missed events) of labels from *number* on.

        All that rows have which were there before the call; takes no lock.
        """
        labels = self._labels[number:]
        return [(*label, self._are_missed[number + place]) for place, label in enumerate(labels)]

    def reset(self) -> None:
        """Forget all measurements."""
        with self._lock:
            # Labels stay: a recorder may hold the number of one.
            self._full, self._block = [], bytearray()

    @property
    def measurements(self) -> Measurements:
        """All measurements in recording order, as a list of `LatencyMeasurement` reads."""
        return Measurements(self)

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, (*self._full, self._block))) // ROW_BYTES

    @tells_the_file_limit
    def get_stats(self) -> dict[str, dict[str, Any]]:
        """Return {metric type: {count, mean_ms, p50_ms, p95_ms, p99_ms, max_ms, min_ms}}.

        A metric type with missed events has ``missed`` too, their number, which
        is part of ``count``. A percentile that falls among them is None, and
        ``p50_above_ms``, ``p95_above_ms`` or ``p99_above_ms`` says what it is
        above of. Mean, largest and smallest take each at what was waited.
        """
        return summary_format.stats_document(summarize(self.snapshot()).metrics)

    @tells_the_file_limit
    def get_stats_by_satellite(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return {satellite: {metric type: {count, mean_ms, p50_ms, p95_ms, max_ms}}}.

        Missed events show as in `get_stats`.
        """
        return summary_format.satellites_document(summarize(self.snapshot()).satellites)

    @tells_the_file_limit
    def get_summary(self) -> dict[str, Any]:
        """Return totals and both kinds of statistics, all of one moment.

        Missed events are part of the totals, and show as in `get_stats`.
        """
        columns = self.snapshot()
        if not columns.rows:
            return {"total_measurements": 0, "metrics": {}}
        statistics = summarize(columns)
        return summary_format.statistics_document(
            statistics.total_measurements, statistics.metrics, statistics.satellites
        )

    def export_csv(self, filename: str | Path) -> None:
        """Write all measurements to *filename*, replacing it, as ``latency_raw.csv`` has them.

        Makes the folders above it that are missing.

        If any is a missed event, a sixth column ``missed`` holds 1 for these and
        0 for the others; the duration of a missed event is what was waited.

        Raises:
            InvalidRunError: Nothing is recorded, or the name is empty (a ValueError).
            OSError: The file can't be written.
        """
        # Without a type annotation's promise: the old class was called with None too.
        name: object = filename
        if not isinstance(name, str | Path) or not str(name).strip():
            raise InvalidRunError(f"Invalid filename: must be a path, not {filename!r}")
        columns = self.snapshot()
        if not columns.rows:
            raise InvalidRunError("No measurements to export")
        Path(filename).parent.mkdir(parents=True, exist_ok=True)
        with Path(filename).open("wb") as file:
            file.writelines(render_csv(columns))

    def __getstate__(self) -> dict[str, Any]:
        """Return the measurements as they are now: a collector may go to another process."""
        with self._lock:
            blocks = [bytes(block) for block in (*self._full, self._block)]
            missed = self._numbers_of_missed()
            return {"labels": list(self._labels), "missed": missed, "blocks": blocks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        self._labels = list(state["labels"])
        for code, (metric_type, satellite_id) in enumerate(self._labels):
            self._are_missed.append(code in state["missed"])
            by_type = self._missed_codes if code in state["missed"] else self._codes
            by_type.setdefault(metric_type, {})[satellite_id] = code
        *full, block = map(bytearray, state["blocks"])
        self._full, self._block = full, block

    def __repr__(self) -> str:
        return f"<LatencyCollector with {len(self)} measurement{'' if len(self) == 1 else 's'}>"


_collectors: WeakSet[LatencyCollector] = WeakSet()


def _new_locks() -> None:
    # Another thread of the parent may have held one, and isn't there to give it back.
    for collector in tuple(_collectors):
        collector._lock = threading.RLock()


in_forked_child(_new_locks)


class Measurements(Sequence[LatencyMeasurement]):
    """The measurements of a collector, as a list reads: live, but not to be changed."""

    __slots__ = ("_collector",)

    def __init__(self, collector: LatencyCollector) -> None:
        self._collector = collector

    def __len__(self) -> int:
        return len(self._collector)

    def __iter__(self) -> Iterator[LatencyMeasurement]:
        return self._collector.snapshot().measurements()

    @overload
    def __getitem__(self, index: SupportsIndex) -> LatencyMeasurement: ...
    @overload
    def __getitem__(self, index: slice) -> list[LatencyMeasurement]: ...
    def __getitem__(
        self, index: SupportsIndex | slice
    ) -> LatencyMeasurement | list[LatencyMeasurement]:
        columns = self._collector.snapshot()
        if isinstance(index, slice):
            selected = range(columns.rows)[index]
            if not selected:
                return []
            low, high = min(selected[0], selected[-1]), max(selected[0], selected[-1])
            return list(columns.measurements(low, high + 1))[:: selected.step]
        position = range(columns.rows)[index]
        return next(columns.measurements(position, position + 1))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list | Measurements):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} measurement{'' if len(self) == 1 else 's'}>"
