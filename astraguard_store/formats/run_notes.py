"""Notes beside a run that was exported: what its summary and its CSV don't tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

import msgspec

from astraguard_store.checks import (
    DAY_S,
    MOST_REVISIONS,
    check_attachment_name,
    check_name,
    check_named_save,
)
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.formats.notes import told_by
from astraguard_store.model import Attachment, RunState, RunSummary, epoch_us, utc_from_epoch_us
from astraguard_store.noise import MachineNoise
from astraguard_store.provenance import Provenance, check_tags
from astraguard_store.verdict.values import Judgements, RecordedVerdict

NOTES_NAME: Final = "astraguard_run.json"
"""The file's name in the folder of an exported run."""


@dataclass(frozen=True, slots=True)
class RunNotes:
    """What a store knows of a run beside its files.

    Attributes:
        summary_sha256: Of the summary file that they belong to; None where it had no hash.
        revision: As in `RunSummary`.
        recorded_at_us: When it was saved, microseconds since 1970.
        utc_offset_s: How far local time was ahead of UTC then; None if it was adopted.
        provenance: What it was.
        tags: Its tags.
        state: How far it came.
        error: What ended a failed one.
        last_written_at_us: When its recorder last wrote.
        save_id: What its save was named.
        save_sha256: Of what a named save held.
        save_ids: (name, content's hash, revision) of each named save that it ever had.
        satellite_buckets: Whether it keeps buckets of satellites.
        attachments: The files that were attached.
        noise: The machine's.
        baselines: As in `Judgements`.
        verdicts: As in `Judgements`.
    """

    summary_sha256: str | None
    revision: Annotated[int, msgspec.Meta(ge=1, le=MOST_REVISIONS)]
    recorded_at_us: int
    utc_offset_s: Annotated[int, msgspec.Meta(gt=-DAY_S, lt=DAY_S)] | None
    provenance: Provenance
    tags: Mapping[str, str]
    state: RunState = "finished"
    error: str | None = None
    last_written_at_us: int | None = None
    save_id: str | None = None
    save_sha256: str | None = None
    save_ids: tuple[tuple[str, str, int], ...] = ()
    satellite_buckets: bool = False
    attachments: tuple[Attachment, ...] = ()
    noise: MachineNoise | None = None
    baselines: tuple[tuple[str, int], ...] = ()
    verdicts: tuple[RecordedVerdict, ...] = ()

    @property
    def named_saves(self) -> tuple[tuple[str, str, int], ...]:
        """All named saves; notes of an older export know the stored one alone.

        An older export beside a saver may name saves that came after what it copied: a
        retry of theirs has to save.
        """
        if self.save_ids or self.save_id is None or self.save_sha256 is None:
            return tuple(named for named in self.save_ids if named[2] <= self.revision)
        return ((self.save_id, self.save_sha256, self.revision),)

    @property
    def judgements(self) -> Judgements:
        """Its baselines, and what was said of it."""
        return Judgements(self.baselines, self.verdicts)


def notes_of(
    run: RunSummary,
    utc_offset_s: int | None,
    save_sha256: str | None,
    *,
    save_ids: Iterable[tuple[str, str, int]],
    satellite_buckets: bool,
    judgements: Judgements,
) -> RunNotes:
    """Return what is to be noted of a stored run."""
    hashes = (file.sha256 for file in run.artifacts if file.kind == "summary_json")
    return RunNotes(
        next(hashes, None),
        run.revision,
        epoch_us(run.recorded_at),
        utc_offset_s,
        run.provenance,
        run.tags,
        run.state,
        run.error,
        None if run.last_written_at is None else epoch_us(run.last_written_at),
        run.save_id,
        save_sha256,
        tuple(save_ids),
        satellite_buckets,
        run.attachments,
        run.noise,
        *judgements,
    )


def render_run_notes(notes: RunNotes) -> bytes:
    """Return *notes* as JSON that a person can read; the same notes always give the same."""
    return msgspec.json.format(msgspec.json.encode(told_by(notes)), indent=2) + b"\n"


def parse_run_notes(content: bytes) -> RunNotes:
    """Return the notes in *content*.

    Raises:
        ArtifactReadError: It isn't what `render_run_notes` gives.
    """
    try:
        notes = msgspec.json.decode(content, type=RunNotes)
        check_tags(notes.tags)
        for name, _ in notes.baselines:
            check_name(name, "baseline")
        for named in notes.named_saves:
            check_named_save(*named)
        for attached in notes.attachments:
            check_attachment_name(attached.name)
        for time_us in (notes.recorded_at_us, notes.last_written_at_us or 0):
            utc_from_epoch_us(time_us) + timedelta(seconds=notes.utc_offset_s or 0)
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        RecursionError,
        InvalidRunError,
        OverflowError,
    ) as error:
        raise ArtifactReadError(f"no notes of a run: {error}") from error
    return notes
