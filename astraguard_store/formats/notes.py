"""Notes of a save: what it knew beside its measurements, for files that no database took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

import msgspec

from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.model import NO_TAGS
from astraguard_store.provenance import UNKNOWN_PROVENANCE, Provenance, check_tags


@dataclass(frozen=True, slots=True)
class SaveNotes:
    """What the files of a run don't tell.

    Attributes:
        provenance: What the run was.
        tags: To set.
        satellite_buckets: Whether the buckets of each satellite are to be kept.
        in_database: Whether its measurements are to be kept in the table too.
        replaces: What it would have replaced: of the stored save its token and its
            summary's SHA-256, and the tokens of saves of the run that were kept before.
        is_sure: Whether the database said so, so that another stored save is a later one, if
            its revision is.
        revision: That of the save that it would have replaced; 0 where there was none, None
            where the database didn't say.
        recorded_at_us: When it was, microseconds since 1970; copies lose a file's time.
        save_id: What the caller named it.
        save_sha256: Of what a named save held.
    """

    provenance: Provenance
    tags: Mapping[str, str]
    satellite_buckets: bool
    in_database: bool
    replaces: frozenset[str] = frozenset()
    is_sure: bool = False
    recorded_at_us: int | None = None
    save_id: str | None = None
    save_sha256: str | None = None
    revision: int | None = None


NO_NOTES: Final = SaveNotes(UNKNOWN_PROVENANCE, NO_TAGS, False, False)


def told_by(notes: Any) -> dict[str, Any]:
    """Return the fields of notes as JSON has them, of provenance only what is known."""
    told = {field.name: getattr(notes, field.name) for field in fields(notes)}
    provenance: Provenance = notes.provenance
    units = {satellite_id: asdict(unit) for satellite_id, unit in provenance.units.items()}
    known = {**dict(provenance.known()), **({"units": units} if units else {})}
    return {**told, "provenance": known, "tags": dict(notes.tags)}


def render_notes(notes: SaveNotes) -> bytes:
    """Return *notes* as JSON; times are ISO 8601."""
    return msgspec.json.encode({**told_by(notes), "replaces": sorted(notes.replaces)})


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
