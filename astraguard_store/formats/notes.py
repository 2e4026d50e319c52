"""What a save knew beside its measurements, kept beside files that no database took."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.formats.summary import parse_document
from astraguard_store.model import NO_TAGS
from astraguard_store.provenance import UNKNOWN_PROVENANCE, Provenance, check_tags

__all__ = ["NO_NOTES", "SaveNotes", "parse_notes", "render_notes"]

_MOMENTS = ("started_at", "finished_at")


class SaveNotes(NamedTuple):
    """What the files of a run don't tell.

    Attributes:
        provenance: What the run was.
        tags: To set.
        satellite_buckets: Whether the buckets of each satellite are to be kept.
        in_database: Whether its measurements are to be kept in the table too.
    """

    provenance: Provenance = UNKNOWN_PROVENANCE
    tags: Mapping[str, str] = NO_TAGS
    satellite_buckets: bool = False
    in_database: bool = False


NO_NOTES: Final = SaveNotes()


def render_notes(notes: SaveNotes) -> bytes:
    """Return *notes* as JSON; times are ISO 8601."""
    return orjson.dumps(
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
    document = parse_document(content)
    try:
        known: dict[str, Any] = dict(document["provenance"])
        for name in _MOMENTS:
            if name in known:
                known[name] = datetime.fromisoformat(known[name])
        return SaveNotes(
            Provenance(**known),
            check_tags(document["tags"]),
            document["satellite_buckets"] is True,
            document["in_database"] is True,
        )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidRunError) as error:
        raise ArtifactReadError(f"no notes of a save: {error}") from error
