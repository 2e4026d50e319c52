"""What only a run's CSV tells, noted where a check with ``fix`` reads it: hashes and buckets.

Adopted runs lack both, and runs of a store from before its schema had buckets
lack these. And the copies of rows that are read instead of them, made anew where
they are missing or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from astraguard_store.database.run_files import FilesOfRun
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.formats.layout import RAW_NAME
from astraguard_store.model import Artifact
from astraguard_store.store.mending import Mender
from astraguard_store.store.store import DATABASE_NAME
from astraguard_store.store.tally import Tally

__all__ = ["Completion"]

_FIX = "`astraguard-store check --fix`"


class Completion:
    """Counts what is incomplete, and completes it.

    Args:
        tally: Takes what is found.
        mender: Completes it; None to write nothing.
    """

    def __init__(self, tally: Tally, mender: Mender | None) -> None:
        self._tally = tally
        self._mender = mender
        self._unhashed = 0
        self._hashed = 0
        self._without_buckets = 0
        self._filled = 0
        self._wrong: list[str] = []
        self._to_renew: list[str] = []

    def look_at(self, run: FilesOfRun, sound: Sequence[Artifact]) -> None:
        """Look at a run, of whose files those in *sound* are as they were noted."""
        unhashed = [noted for noted in sound if noted.sha256 is None]
        csv = next((noted for noted in sound if noted.kind == "raw_csv"), None)
        self._unhashed += bool(unhashed)
        self._without_buckets += run.lacks_buckets
        if run.document == "wrong":
            self._wrong.append(run.run_id)
        if run.document != "right":
            self._to_renew.append(run.run_id)
        if self._mender is None or csv is None or not (unhashed or run.lacks_buckets):
            return
        try:
            self._mender.complete(run, csv, unhashed)
        except ArtifactReadError as error:
            advice = "one of both was changed: keep the one that is right; the row has the summary"
            self._tally.fault("csv_disagrees", csv.path, str(error), advice)
        else:
            self._hashed += bool(unhashed)
            self._filled += run.lacks_buckets

    def report(self) -> None:
        """Tell the tally what was incomplete."""
        self._report_unhashed()
        self._report_buckets()
        self._report_documents()

    def _report_unhashed(self) -> None:
        if self._unhashed and self._mender is None:
            what = f"{_never_read(self._unhashed)}: a change can't be seen"
            advice = f"{_FIX} hashes and counts them, and notes what only they tell"
            self._tally.note("unhashed_csv", RAW_NAME, what, advice)
        if self._hashed:
            done = "hashed, counted, and each satellite's p99 and minimum noted"
            self._tally.mended("unhashed_csv", RAW_NAME, _never_read(self._hashed), done)

    def _report_buckets(self) -> None:
        left = self._without_buckets - self._filled
        if left:
            what = f"{_have(left)} no buckets: percentiles over several runs leave them out"
            advice = f"{_FIX} computes them from the CSVs"
            if self._mender:
                advice = "a CSV that is there and agrees with its row is needed"
            self._tally.note("missing_buckets", DATABASE_NAME, what, advice)
        if self._filled:
            what, done = f"{_have(self._filled)} no buckets", "computed from the CSVs"
            self._tally.mended("missing_buckets", DATABASE_NAME, what, done)

    def _report_documents(self) -> None:
        """Tell of wrong ones; missing ones are no fault, and are written where it is mended."""
        if self._mender:
            self._mender.renew_documents(self._to_renew)
        for run_id in self._wrong:
            what = "the copy of its rows that is read instead of them says something else"
            if self._mender:
                self._tally.mended("wrong_document", run_id, what, "written anew from its rows")
            else:
                advice = f"another program wrote it; {_FIX} writes it anew from its rows"
                self._tally.fault("wrong_document", run_id, what, advice)


def _never_read(count: int) -> str:
    if count == 1:
        return "the CSV of one adopted run was never read"
    return f"the CSVs of {count} adopted runs were never read"


def _have(count: int) -> str:
    return "one run has" if count == 1 else f"{count} runs have"
