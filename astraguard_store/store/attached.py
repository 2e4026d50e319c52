"""What was attached to a run, for who hands it on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from astraguard_store.artifacts.attachments import attachment_chunks
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.model import RunSummary


def attached_file(root: Path | None, run: RunSummary, name: str) -> tuple[int, Iterator[bytes]]:
    """Return size and content of a file that was attached to a run, checked by its hash.

    Args:
        root: The results folder; None where there is none, as on a server.
        run: The run.
        name: Of the attachment. No link below *root* is followed.

    Raises:
        ArtifactReadError: There is none of that name, or it isn't what was attached.
    """
    noted = next((one for one in run.attachments if one.name == name), None)
    if noted is None:
        raise ArtifactReadError(f"nothing is attached to run {run.run_id!r} as {name!r}")
    if root is None:
        raise ArtifactReadError(
            f"the attachments of run {run.run_id!r} are on the machine that it came from"
        )
    chunks = attachment_chunks(root, run.run_id, noted)
    next(chunks)  # checks the file
    return noted.bytes, chunks
