"""The values that leave the store: frozen, comparable, copyable, readable."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import reference
from recordings import own

import astraguard_store
from astraguard_store import (
    CacheInfo,
    Comparison,
    LatencyMeasurement,
    MetricSummary,
    RunHeader,
    RunRepository,
    RunSummary,
)
from astraguard_store.comparison import MetricChange, ValueChange
from astraguard_store.model import Artifact
from astraguard_store.reports import CheckReport, Finding, ImportReport

RECORDED_AT = datetime(2026, 11, 22, 6, 8, 17, 168_388, tzinfo=UTC)
METRIC = MetricSummary(
    count=120, mean_ms=0.49, p50_ms=0.42, p95_ms=0.99, p99_ms=1.1, min_ms=0.19, max_ms=1.48
)
SATELLITE = METRIC._replace(count=60, p99_ms=None, min_ms=None)
ARTIFACT = Artifact("raw_csv", "run_001/latency_raw.csv", 16_139, "ab" * 32, 240)
RUN = RunSummary(
    run_id="run_001",
    revision=2,
    recorded_at=RECORDED_AT,
    total_measurements=120,
    metrics={"fault_detection": METRIC},
    satellites={"SAT001": {"fault_detection": SATELLITE}},
    artifacts=(ARTIFACT,),
)
CHANGE = ValueChange(2.0, 3.0)
METRIC_CHANGE = MetricChange("fault_detection", None, METRIC, None)
FINDING = Finding("changed_file", "fault", "run_001/latency_raw.csv", "other hash", "save again")
VALUES: list[Any] = [
    LatencyMeasurement(1795327697.5, "fault_detection", "SAT001", 0.85, 0.0),
    METRIC,
    SATELLITE,
    ARTIFACT,
    RunHeader("run_001", 2, RECORDED_AT, 240),
    RUN,
    CHANGE,
    METRIC_CHANGE,
    Comparison("run_001", "run_002", (METRIC_CHANGE,)),
    CacheInfo(hits=3, misses=1, current_size=1, limit=100),
    ImportReport(adopted=3, skipped=1, refused=(("odd", "not JSON"),)),
    FINDING,
    CheckReport(runs=3, files=6, bytes=48_000, findings=(FINDING,), mended=()),
]
every_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


def sides_of(change: MetricChange) -> tuple[bool, bool]:
    return change.count.baseline is not None, change.count.candidate is not None


def field_names(value: Any) -> list[str]:
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return list(value._fields)


class TestEveryValue:
    """What all of them promise."""

    @every_value
    def test_its_attributes_cannot_be_set(self, value: Any) -> None:
        for name in field_names(value):
            before = getattr(value, name)

            with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
                setattr(value, name, None)

            assert getattr(value, name) == before

    @every_value
    def test_it_takes_no_further_attributes(self, value: Any) -> None:
        # CPython's frozen, slotted dataclasses raise TypeError here, see gh-105936.
        with pytest.raises((AttributeError, TypeError)):
            value.note = "mine"

        assert not hasattr(value, "note")

    @every_value
    def test_it_survives_pickling(self, value: Any) -> None:
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(value, protocol)) == value

    @every_value
    def test_it_survives_copying(self, value: Any) -> None:
        assert copy.copy(value) == value
        assert copy.deepcopy(value) == value

    @every_value
    def test_equal_values_have_equal_hashes(self, value: Any) -> None:
        twin = copy.deepcopy(value)

        assert len({value, twin}) == 1

    @every_value
    def test_another_value_is_not_equal(self, value: Any) -> None:
        first = field_names(value)[0]
        values = {name: getattr(value, name) for name in field_names(value)}

        other = type(value)(**values | {first: "another"})

        assert other != value

    @every_value
    def test_its_repr_is_a_line_a_person_can_read(self, value: Any) -> None:
        text = repr(value)

        assert len(text) < 800
        assert "\n" not in text
        assert " object at 0x" not in text


class TestRunSummary:
    """Its mappings are as frozen as the rest."""

    def test_its_repr_names_the_run_its_revision_and_its_time(self) -> None:
        text = repr(RUN)

        for part in ("run_001", "2", "2026-11-22", "120", "fault_detection"):
            assert part in text
        assert len(text) < 300

    def test_its_mappings_can_only_be_read(self) -> None:
        metrics: Any = RUN.metrics
        satellites: Any = RUN.satellites

        edits: list[Callable[[], object]] = [
            lambda: metrics.__setitem__("fault_detection", None),
            lambda: metrics.clear(),
            lambda: metrics.update({}),
            lambda: satellites.pop("SAT001"),
            lambda: satellites["SAT001"].pop("fault_detection"),
            lambda: satellites["SAT001"].__setitem__("x", None),
        ]
        for edit in edits:
            with pytest.raises((TypeError, AttributeError)):
                edit()

    def test_it_does_not_follow_the_dict_it_was_made_of(self) -> None:
        metrics = {"fault_detection": METRIC}
        types = {"fault_detection": SATELLITE}
        run = RunSummary("run_001", 1, RECORDED_AT, 120, metrics, {"SAT001": types})

        metrics.clear()
        types.clear()

        assert dict(run.metrics) == {"fault_detection": METRIC}
        assert dict(run.satellites["SAT001"]) == {"fault_detection": SATELLITE}

    def test_its_mappings_equal_dicts_of_the_same(self) -> None:
        assert RUN.metrics == {"fault_detection": METRIC}
        assert RUN.satellites == {"SAT001": {"fault_detection": SATELLITE}}
        assert RUN.metrics != {}

    def test_its_mappings_read_like_dicts(self) -> None:
        assert list(RUN.metrics) == list(RUN.metrics.keys()) == ["fault_detection"]
        assert RUN.metrics.get("agent_decision") is None
        assert "fault_detection" in RUN.metrics
        assert dict(RUN.metrics.items())["fault_detection"] is METRIC
        with pytest.raises(KeyError):
            RUN.metrics["agent_decision"]

    def test_its_header_is_what_a_list_shows(self) -> None:
        assert RUN.header == RunHeader("run_001", 2, RECORDED_AT, 120)


class TestValueChange:
    """Differences are candidate − baseline."""

    @pytest.mark.parametrize(
        ("baseline", "candidate", "difference", "relative"),
        [
            (2.0, 3.0, 1.0, 0.5),
            (3.0, 2.0, -1.0, -1 / 3),
            (2.0, 2.0, 0.0, 0.0),
            (4, 5, 1, 0.25),
            (2.0, 0.0, -2.0, -1.0),
            (0.0, 2.0, 2.0, None),
            (0, 2, 2, None),
            (0.0, 0.0, 0.0, None),
            (-0.0, 2.0, 2.0, None),
            (None, 2.0, None, None),
            (2.0, None, None, None),
            (None, None, None, None),
        ],
    )
    def test_difference_and_relative_change(
        self,
        baseline: float | None,
        candidate: float | None,
        difference: float | None,
        relative: float | None,
    ) -> None:
        change = ValueChange(baseline, candidate)

        assert (change.difference, change.relative_change) == (difference, relative)

    def test_its_repr_shows_both_sides_and_the_sign(self) -> None:
        assert "2.0" in repr(CHANGE)
        assert "3.0" in repr(CHANGE)
        assert "+50.0%" in repr(CHANGE)


class TestComparison:
    """`RunRepository.compare`, in memory."""

    def compare(self, baseline: Any, candidate: Any, *, by_satellite: bool = False) -> Comparison:
        with RunRepository.in_memory() as repository:
            repository.save("baseline", baseline)
            repository.save("candidate", candidate)
            return repository.compare("baseline", "candidate", by_satellite=by_satellite)

    def test_every_statistic_is_candidate_minus_baseline(self) -> None:
        rows, slower = reference.make_rows(50), reference.make_rows(70, scale=3.0)

        comparison = self.compare(own(rows), own(slower))

        assert (comparison.baseline, comparison.candidate) == ("baseline", "candidate")
        assert len(comparison.changes) == 2
        for change in comparison.changes:
            base = reference.stats(rows)[change.metric_type]
            other = reference.stats(slower)[change.metric_type]
            assert change.satellite_id is None
            for key in reference.STATISTIC_KEYS:
                value = getattr(change, key)
                assert (value.baseline, value.candidate) == (base[key], other[key])
                assert value.difference == other[key] - base[key]
                assert value.relative_change == (other[key] - base[key]) / base[key]

    def test_by_satellite_is_one_change_a_satellite_and_metric_type(self) -> None:
        rows = reference.make_rows(50)
        fewer = reference.make_rows(50, satellites=("SAT002", "SAT003"))

        comparison = self.compare(own(rows), own(fewer), by_satellite=True)

        base, other = (reference.full_stats_by_satellite(r) for r in (rows, fewer))
        changes = {(c.satellite_id, c.metric_type): c for c in comparison.changes}
        types = ("fault_detection", "agent_decision")
        assert len(changes) == len(comparison.changes)
        assert set(changes) == {
            (satellite, name) for satellite in ("SAT001", "SAT002", "SAT003") for name in types
        }
        for (satellite, name), change in changes.items():
            for key in reference.STATISTIC_KEYS:
                value = getattr(change, key)
                assert value.baseline == base.get(satellite or "", {}).get(name, {}).get(key)
                assert value.candidate == other.get(satellite or "", {}).get(name, {}).get(key)

    def test_what_only_one_side_has_stands_on_its_side(self) -> None:
        comparison = self.compare(
            own(reference.make_rows(10, types=("a", "b"))),
            own(reference.make_rows(10, types=("b", "c"))),
        )

        sides = {c.metric_type: sides_of(c) for c in comparison.changes}
        assert sides == {"a": (True, False), "b": (True, True), "c": (False, True)}
        for change in (comparison.change("a"), comparison.change("c")):
            for key in reference.STATISTIC_KEYS:
                value = getattr(change, key)
                assert (value.baseline is None) != (value.candidate is None)
                assert (value.difference, value.relative_change) == (None, None)

    def test_a_baseline_of_zero_has_a_difference_and_no_relative_change(self) -> None:
        zero = own([(1_790_000_000.0, "a", "SAT001", 0.0, 0.0)])
        two = own([(1_790_000_000.0, "a", "SAT001", 2.0, 0.0)])

        mean = self.compare(zero, two).change("a").mean_ms

        assert (mean.difference, mean.relative_change) == (2.0, None)

    def test_turning_it_round_turns_the_signs_round(self) -> None:
        rows, other = own(reference.make_rows(50)), own(reference.make_rows(50, scale=2.5))

        there, back = self.compare(rows, other), self.compare(other, rows)

        for one, two in zip(there.changes, back.changes, strict=True):
            assert one.metric_type == two.metric_type
            assert one.mean_ms.difference == -(two.mean_ms.difference or 0.0) != 0.0

    def test_change_finds_by_name(self) -> None:
        rows = own(reference.make_rows(10))

        by_satellite = self.compare(rows, rows, by_satellite=True)

        found = by_satellite.change("fault_detection", "SAT002")
        assert (found.metric_type, found.satellite_id) == ("fault_detection", "SAT002")
        with pytest.raises(KeyError):
            by_satellite.change("fault_detection", "SAT999")
        with pytest.raises(KeyError):
            by_satellite.change("fault_detection")


class TestErrors:
    """The error tree: what each is besides a `StoreError`."""

    @pytest.mark.parametrize(
        ("name", "also"),
        [
            ("InvalidRunError", ValueError),
            ("RunNotFoundError", LookupError),
            ("StoreNotFoundError", FileNotFoundError),
            ("DatabaseBusyError", TimeoutError),
            ("ArtifactWriteError", astraguard_store.ArtifactError),
            ("ArtifactReadError", astraguard_store.ArtifactError),
        ],
    )
    def test_an_error_can_be_caught_as_what_it_is(self, name: str, also: type) -> None:
        error = getattr(astraguard_store, name)

        assert issubclass(error, astraguard_store.StoreError)
        assert issubclass(error, also)

    def test_an_error_with_attributes_survives_pickling(self) -> None:
        with (
            RunRepository.in_memory() as repository,
            pytest.raises(astraguard_store.RunNotFoundError) as raised,
        ):
            repository.get("missing")

        error = pickle.loads(pickle.dumps(raised.value))

        assert str(error) == str(raised.value)
        assert error.run_id == "missing"
