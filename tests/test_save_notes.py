"""Notes of a save: JSON beside files that no database took."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from astraguard_store import Provenance
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.formats.notes import SaveNotes, parse_notes, render_notes

WAS = Provenance(scenario="éclipse", seed=-3, git_dirty=False, started_at=datetime.now(UTC))


def test_reading_gives_back_what_was_written() -> None:
    replaced = frozenset({"0123456789abcdef", "fedcba9876543210"})
    tags = {"week": "47", "pinned": ""}
    notes = SaveNotes(WAS, tags, True, False, replaced, True, 2**50, revision=7)

    assert parse_notes(render_notes(notes)) == notes


def test_notes_of_the_version_before_are_read() -> None:
    old = (
        b'{"provenance":{"seed":3,"started_at":"2026-11-26T23:56:50.829329+00:00"},'
        b'"tags":{"a":"b"},"satellite_buckets":false,"in_database":true}'
    )

    was = Provenance(seed=3, started_at=datetime(2026, 11, 26, 23, 56, 50, 829329, UTC))
    assert parse_notes(old) == SaveNotes(was, {"a": "b"}, False, True)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b'{"tags": {}}', b"\xff", b"[" * 100_000),
        b'{"provenance": {"seed": true}, "tags": {}, "satellite_buckets": 0, "in_database": 0}',
        render_notes(SaveNotes(WAS, {"a": "b"}, True, True)).replace(b'"a"', b'""'),
        render_notes(SaveNotes(WAS, {"a": "b"}, True, True)).replace(b'"a"', b'"\xed\xa0\x80"'),
        render_notes(SaveNotes(WAS, {}, True, True)).replace(b"-3", b"99999999999999999999"),
        render_notes(SaveNotes(WAS, {}, True, True)).replace(b"Z", b""),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactReadError, match="no notes of a save"):
        parse_notes(content)
