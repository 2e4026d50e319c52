"""What a run was: which values are taken, how gaps are filled, and what differs."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astraguard_store.exceptions import InvalidRunError
from astraguard_store.provenance import (
    Provenance,
    ProvenanceChange,
    check_tags,
    provenance_changes,
)

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

TEXTS = st.none() | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30
)
SEEDS = st.none() | st.integers(-(2**63), 2**63 - 1)
TIMES = st.none() | st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.timezones(),
)
PROVENANCES = st.builds(
    Provenance,
    scenario=TEXTS,
    seed=SEEDS,
    git_dirty=st.none() | st.booleans(),
    rig=TEXTS,
    started_at=TIMES,
)


class TestValues:
    """What is taken, and what is refused."""

    def test_nothing_is_known_of_a_run_without_any(self) -> None:
        provenance = Provenance()

        known = list(provenance.known())

        assert known == []

    def test_what_is_known_comes_in_the_order_of_the_attributes(self) -> None:
        provenance = Provenance(rig="bench 2", seed=0, scenario="swarm", git_dirty=False)

        known = list(provenance.known())

        assert known == [
            ("scenario", "swarm"),
            ("seed", 0),
            ("git_dirty", False),
            ("rig", "bench 2"),
        ]

    def test_times_are_kept_in_utc(self) -> None:
        berlin = timezone(timedelta(hours=1))

        provenance = Provenance(started_at=NOON.astimezone(berlin))

        assert provenance.started_at == NOON
        assert provenance.started_at.tzinfo is UTC

    def test_a_text_may_be_empty(self) -> None:
        provenance = Provenance(scenario="")

        assert provenance.scenario == ""

    @pytest.mark.parametrize("seed", [-(2**63), -1, 0, 2**63 - 1])
    def test_a_seed_may_have_63_bits_and_a_sign(self, seed: int) -> None:
        provenance = Provenance(seed=seed)

        assert provenance.seed == seed

    def test_a_seed_may_be_an_integer_of_numpy(self) -> None:
        provenance = Provenance(seed=np.int64(7))  # type: ignore[arg-type]

        assert provenance.seed == 7
        assert type(provenance.seed) is int

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("scenario", 7),
            ("scenario", b"swarm"),
            ("scenario", "s" * 1_001),
            ("rig", "bench\0"),
            ("host", "h\udcff"),
            ("seed", "7"),
            ("seed", 7.0),
            ("seed", True),
            ("seed", 2**63),
            ("seed", -(2**63) - 1),
            ("git_dirty", 1),
            ("git_dirty", "yes"),
            ("started_at", "2026-03-01"),
            ("started_at", datetime(2026, 3, 1)),  # noqa: DTZ001 - what is refused
            ("started_at", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
            ("finished_at", 1.0),
            ("seed", np.timedelta64(7, "s")),
            ("seed", np.bool_(True)),
        ],
    )
    def test_what_cannot_be_stored_is_refused_by_name(self, name: str, value: object) -> None:
        values: dict[str, Any] = {name: value}

        with pytest.raises(InvalidRunError, match=f"Invalid {name}[ :]"):
            Provenance(**values)

    def test_it_survives_pickling(self) -> None:
        provenance = Provenance(scenario="swarm", seed=7, started_at=NOON, git_dirty=True)

        copied = pickle.loads(pickle.dumps(provenance))

        assert copied == provenance


class TestFilledFrom:
    """What the runner gave, and what a process learns by itself."""

    def test_what_is_known_wins(self) -> None:
        given_by_the_runner = Provenance(host="rig-1", git_dirty=False, seed=0)

        filled = given_by_the_runner.filled_from(Provenance(host="vm", git_dirty=True, seed=9))

        assert filled == given_by_the_runner

    def test_what_is_not_known_is_taken_from_the_other(self) -> None:
        given_by_the_runner = Provenance(scenario="swarm")

        filled = given_by_the_runner.filled_from(Provenance(host="vm", python="3.11.7"))

        assert filled == Provenance(scenario="swarm", host="vm", python="3.11.7")

    @given(PROVENANCES, PROVENANCES)
    def test_each_value_is_one_of_the_two(self, mine: Provenance, theirs: Provenance) -> None:
        filled = mine.filled_from(theirs)

        merged = dict(theirs.known()) | dict(mine.known())
        git = {"git_commit", "git_branch", "git_dirty"}
        if git & dict(mine.known()).keys():
            merged = {k: v for k, v in merged.items() if k not in git or k in dict(mine.known())}
        assert dict(filled.known()) == merged

    def test_git_fields_of_two_checkouts_are_not_mixed(self) -> None:
        given_by_the_runner = Provenance(git_commit="a" * 40)

        filled = given_by_the_runner.filled_from(Provenance(git_branch="main", git_dirty=True))

        assert filled == given_by_the_runner

    @given(PROVENANCES)
    def test_filling_from_nothing_changes_nothing(self, provenance: Provenance) -> None:
        filled = provenance.filled_from(Provenance())

        assert filled == provenance


class TestChanges:
    """What differs between two runs, and whether that forbids comparing them."""

    def test_what_differs_is_named_with_both_sides(self) -> None:
        baseline = Provenance(scenario="swarm", git_commit="ab", rig="bench 1")
        candidate = Provenance(scenario="swarm", git_commit="cd", rig="bench 1")

        changes = provenance_changes(baseline, candidate)

        assert changes == (ProvenanceChange("git_commit", "ab", "cd"),)

    def test_the_times_of_two_runs_are_no_change(self) -> None:
        baseline = Provenance(started_at=NOON, finished_at=NOON)
        candidate = Provenance(started_at=NOON + timedelta(days=1))

        changes = provenance_changes(baseline, candidate)

        assert changes == ()

    @pytest.mark.parametrize("name", ["scenario", "host", "percentile_definition"])
    def test_another_scenario_host_or_definition_forbids_the_comparison(self, name: str) -> None:
        one: dict[str, Any] = {name: "one"}
        two: dict[str, Any] = {name: "two"}

        (change,) = provenance_changes(Provenance(**one), Provenance(**two))

        assert change.forbids_comparison

    def test_another_commit_is_what_comparisons_are_for(self) -> None:
        (change,) = provenance_changes(Provenance(git_commit="ab"), Provenance(git_commit="cd"))

        assert not change.forbids_comparison

    def test_a_scenario_that_is_not_known_forbids_nothing(self) -> None:
        (change,) = provenance_changes(Provenance(), Provenance(scenario="swarm"))

        assert change == ProvenanceChange("scenario", None, "swarm")
        assert not change.forbids_comparison

    @given(PROVENANCES)
    def test_a_run_differs_in_nothing_from_itself(self, provenance: Provenance) -> None:
        changes = provenance_changes(provenance, provenance)

        assert changes == ()

    @given(PROVENANCES, PROVENANCES)
    def test_the_other_way_round_the_sides_are_swapped(
        self, one: Provenance, two: Provenance
    ) -> None:
        forth = provenance_changes(one, two)
        back = provenance_changes(two, one)

        assert back == tuple(ProvenanceChange(c.name, c.candidate, c.baseline) for c in forth)


class TestTags:
    """Free names and values."""

    def test_tags_are_copied(self) -> None:
        tags = {"pinned": "", "ticket": "AG-12"}

        checked = check_tags(tags)
        tags["late"] = "1"

        assert checked == {"pinned": "", "ticket": "AG-12"}

    @pytest.mark.parametrize(
        ("tags", "words"),
        [
            ({"": "x"}, "Invalid tag: must be non-empty string, not ''"),
            ({7: "x"}, "Invalid tag: must be non-empty string, not 7"),
            ({"t" * 256: "x"}, "Invalid tag 't"),
            ({"a\0": "x"}, "Invalid tag"),
            (
                {"ticket": None},
                "Invalid value of tag 'ticket': must be non-empty string, not None",
            ),
            ({"ticket": 12}, "Invalid value of tag 'ticket': must be non-empty string, not 12"),
            ({"ticket": "x" * 1_001}, "Invalid value of tag 'ticket' 'x"),
            ({"ticket": "\ud800"}, "Invalid value of tag 'ticket'"),
        ],
    )
    def test_a_tag_that_cannot_be_stored_is_refused(
        self, tags: dict[Any, Any], words: str
    ) -> None:
        with pytest.raises(InvalidRunError, match=words):
            check_tags(tags)
