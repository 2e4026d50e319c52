"""Notes of a save: what it knew beside its measurements, for files that no database took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.model import NO_TAGS
from astraguard_store.provenance import UNKNOWN_PROVENANCE, Provenance, check_tags

__all__ = ["NO_NOTES", "SaveNotes", "parse_notes", "render_notes"]


@dataclass(frozen=True, slots=True)
class SaveNotes:
    """What the files of a run don't tell.

    Attributes:
        provenance: What the run was.
        tags: To set.
        satellite_buckets: Whether the buckets of each satellite are to be kept.
        in_database: Whether its measurements are to be kept in the table too.
    """

    provenance: Provenance
    tags: Mapping[str, str]
    satellite_buckets: bool
    in_database: bool


NO_NOTES: Final = SaveNotes(UNKNOWN_PROVENANCE, NO_TAGS, False, False)


def render_notes(notes: SaveNotes) -> bytes:
    """Return *notes* as JSON; times are ISO 8601."""
    return msgspec.json.encode(
        {
            "provenance": dict(notes.provenance.known()),
            "tags": dict(notes.tags),
            "satellite_buckets": notes.satellite_buckets,
            "in_database": notes.in_database,
        }
    )


def parse_notes(content: bytes) -> SaveNotes:
    """Return the notes in *content*.

    Raises:
        ArtifactReadError: It isn't what `render_notes` gives.
    """
    try:
        notes = msgspec.json.decode(content, type=SaveNotes)
        return replace(notes, tags=check_tags(notes.tags))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidRunError) as error:
        raise ArtifactReadError(f"no notes of a save: {error}") from error
