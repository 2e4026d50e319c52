"""The thread that writes what is recorded to the journal while it is recorded.

It copies what is new in the collector's blocks by their lengths: so who records takes
no lock, waits for nothing, and allocates no more than without a journal.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from astraguard_store.exceptions import ArtifactWriteError, ClosedStoreError
from astraguard_store.formats.journal import (
    attachment_frame,
    end_frame,
    labels_frame,
    noise_frame,
    reset_frame,
    rows_frame,
)
from astraguard_store.latency import LatencyCollector
from astraguard_store.model import Attachment, RunState
from astraguard_store.noise import NOISE_FIELDS, MachineNoise
from astraguard_store.store.recording import Recording
from astraguard_store.system.forks import (
    in_forked_child,
    in_forking_parent,
    when_forks_begin,
)
from astraguard_store.system.noise import NoiseMeter

logger = logging.getLogger("astraguard_store")

_SAMPLE_EVERY_S: Final = 1.0
# How often the row says that the recorder lives, and the journal what the noise is now.
_BEAT_EVERY_S: Final = 10.0
# So much of the time after which the rows have to be written passes before that begins: a busy
# machine runs the thread late, and a slow disk takes its time.
_BEGUN_AFTER: Final = 0.8


class Recorder:
    """Writes a journal and beats while a run is recorded.

    Args:
        collector: What is recorded.
        recording: The run in its store.
        flush_every_s: After how long what is new is to be written, seconds.
    """

    def __init__(
        self, collector: LatencyCollector, recording: Recording, flush_every_s: float
    ) -> None:
        self._collector = collector
        self.recording = recording
        self._flush_every_s = flush_every_s * _BEGUN_AFTER
        self._meter = NoiseMeter()
        self._written: list[tuple[bytearray, int]] = []
        self._labels = 0
        self._noted: list[float | None] | None = None
        self._has_failed = False
        # Kept from one thread to the next, for each fork ends one.
        now = time.monotonic()
        self._flush_at, self._sample_at = now + self._flush_every_s, now + _SAMPLE_EVERY_S
        self._beat_at = now + _BEAT_EVERY_S
        # Held while the journal is written, by its thread or by who attaches or ends.
        self._journal_lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.pid = os.getpid()

    def start(self) -> None:
        """Begin to write."""
        self._meter.sample()
        _recorders.add(self)
        self._start_thread()

    def check_place(self) -> None:
        """Raise if files that are attached now would not come into the run's folder.

        Raises:
            ClosedStoreError: This is a forked child; the run is its parent's.
            ArtifactWriteError: The results folder was moved or removed.
        """
        if self.pid != os.getpid():
            raise ClosedStoreError(
                "the run is recorded by the process that began it; only that can attach files"
            )
        journal = self.recording.journal
        if journal is None:
            return
        with self._journal_lock:
            with suppress(OSError):
                # Put back if somebody has removed it.
                journal.append([])
            if not journal.is_in_place:
                raise ArtifactWriteError(
                    f"{journal.path.parent.parent} was moved or removed; nothing was attached"
                )

    def note_attachment(self, attachment: Attachment) -> None:
        """Write that a file was attached.

        Raises:
            OSError: It can't be written.
        """
        self._write(lambda: iter([attachment_frame(attachment)]))

    def finish(self, state: RunState, error: str | None) -> tuple[MachineNoise | None, bool]:
        """Stop, and write what is left and how it ended.

        A journal that can't be written, which the log says, keeps nobody from saving.

        Returns:
            The machine's noise, and whether the journal has all that was recorded.
        """
        self.stop_thread()
        _recorders.discard(self)
        self._meter.sample()
        noise = self._meter.noise()
        try:
            self._write(lambda: self._frames(noise))
            self._write(lambda: iter([end_frame(state, error)]))
        except OSError as failure:
            self._warn(failure)
            return noise, False
        return noise, True

    def flush(self) -> None:
        """Write what is new; a failure is said in the log, and tried again the next time."""
        noise = self._meter.noise()
        worst = None if noise is None else _worst_of(noise)
        is_known = worst == self._noted
        try:
            self._write(lambda: self._frames(None if is_known else noise))
        except OSError as error:
            self._warn(error)
        else:
            self._noted, self._has_failed = worst, False

    def _write(self, frames: Callable[[], Iterator[bytes]]) -> None:
        journal = self.recording.journal
        if journal is None:
            return
        with self._journal_lock:
            before = (list(self._written), self._labels)
            try:
                journal.append(frames())
            except OSError:
                self._written, self._labels = before
                raise

    def _frames(self, noise: MachineNoise | None) -> Iterator[bytes]:
        """Yield what isn't in the journal yet."""
        blocks = self._collector.blocks()
        lengths = [len(block) for block in blocks]
        # After the lengths: all rows up to there have labels that are among these.
        labels = self._collector.labels_from(self._labels)
        if labels:
            yield labels_frame(labels)
            self._labels += len(labels)
        if not self._continues(blocks):
            yield reset_frame()
            self._written = []
        for place, (block, length) in enumerate(zip(blocks, lengths, strict=True)):
            is_known = place < len(self._written)
            done = self._written[place][1] if is_known else 0
            if length > done:
                # A slice copies, so that the recorder may go on growing the block.
                yield rows_frame(bytes(block[done:length]))
            if is_known:
                self._written[place] = (block, length)
            else:
                self._written.append((block, length))
        if noise:
            yield noise_frame(noise)

    def _continues(self, blocks: list[bytearray]) -> bool:
        """Return whether the blocks that were written are still there: nobody forgot them."""
        return len(blocks) >= len(self._written) and all(
            known is block for (known, _), block in zip(self._written, blocks, strict=False)
        )

    def _start_thread(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(
            target=self._run, name="astraguard-store-recorder", daemon=True
        )
        self._thread.start()

    def stop_thread(self) -> None:
        """Let the thread end; a step that is under way is waited for."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def go_on(self) -> None:
        """Start the thread again, in the parent of a fork."""
        if self._thread is None:
            self._start_thread()

    def forget(self) -> None:
        """Let go of the journal in a forked child: it is the parent's."""
        self._journal_lock = threading.Lock()
        self._thread = None
        if self.recording.journal is not None:
            self.recording.journal.forget()

    def _run(self) -> None:
        while True:
            # Before it looks whether it is to stop: a program may fork all the time.
            self._do_what_is_due()
            next_at = min(self._flush_at, self._sample_at)
            if self._stop.wait(max(0.0, next_at - time.monotonic())):
                return

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        if now >= self._sample_at:
            self._meter.sample()
            self._sample_at = now + _SAMPLE_EVERY_S
        if now >= self._flush_at:
            self.flush()
            self._flush_at = now + self._flush_every_s
        if now >= self._beat_at:
            self._beat()
            self._beat_at = now + _BEAT_EVERY_S

    def _beat(self) -> None:
        noise = self._meter.noise()
        try:
            self._write(lambda: self._frames(noise))
        except OSError as error:
            self._warn(error)
        self.recording.beat(len(self._collector))

    def _warn(self, error: OSError) -> None:
        if not self._has_failed:
            self._has_failed = True
            journal = self.recording.journal
            logger.warning(
                "%s can't be written: %s. What is recorded is in memory, and written as soon "
                "as it can be; a crash before that would take it",
                journal and journal.path,
                error.strerror,
            )


def _worst_of(noise: MachineNoise) -> list[float | None]:
    return [getattr(noise, name) for name in NOISE_FIELDS if name.endswith("_worst")]


# Until each ends: during a fork no thread keeps one that its program holds no longer.
_recorders: set[Recorder] = set()


def _for_all(step: Callable[[Recorder], None]) -> Callable[[], None]:
    def do() -> None:
        for recorder in tuple(_recorders):
            step(recorder)

    return do


# A thread doesn't come along, and Python 3.12 warns of it. It ends before the database
# comes to rest, for which a beat would wait.
when_forks_begin(_for_all(Recorder.stop_thread))
in_forking_parent(_for_all(Recorder.go_on))
in_forked_child(_for_all(Recorder.forget))
in_forked_child(_recorders.clear)
