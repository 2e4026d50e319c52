"""What was read stays one object for as long as nobody has changed it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from operator import eq
from typing import Any

from astraguard_store.reports import CacheInfo

__all__ = ["IdentityMap", "Mark"]

logger = logging.getLogger("astraguard_store")

Mark = tuple[int, int]
"""A moment in the life of a map, as `IdentityMap.mark` gives it: what others' commits have
been, and what own."""

_Entry = tuple[Any, Mark, tuple[str, ...]]
"""(value, moment in which it was true, runs that it depends on beside its key)"""


class IdentityMap:
    """A bounded map from what was asked to what was read; threads share it.

    The rules that keep it exact: take `mark` before the query whose result is
    to be kept, hand it to `keep` with the result; call `forget` for what an own
    commit changed, and `suspect_all` when somebody else has committed, of which
    whoever asks for a key that is held must have made sure just before. Values
    must be immutable. What is read again and found the same is answered with the
    object that was handed out before. A comparison that is forgotten stays in its place
    until it is read again, or its turn comes to go.

    A signal's handler may come in the middle of a change, and ask, keep or forget itself.
    It finds the map half changed, and so changes nothing but the two numbers that tell
    what is true.

    Args:
        limit: Most values that are held.
        same: Tells whether two values of one key are the same.

    Attributes:
        holds: Whether there is a value for a key, be it true or not any more.
    """

    def __init__(self, limit: int = 1024, same: Callable[[Any, Any], bool] = eq) -> None:
        self._limit = limit
        self._same = same
        # Of the kind that a signal's way into a save can take again.
        self._lock = threading.RLock()
        self._is_changing = False
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        # The dict's own method: a method around it would double the time.
        self.holds: Callable[[Hashable], bool] = self._entries.__contains__
        # {run: own commit that changed it last}, of as many runs as values are held at most. A
        # list of who depends on whom would cost each comparison two sets: 1.6 µs of some 60.
        self._changed: dict[str, int] = {}
        self._epoch = 0
        self._forgets = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0

    def get(self, key: Hashable) -> Any | None:
        """Return the value of *key* if it is known to be true, else None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry[1][0] != self._epoch or self._is_changing:
                return None
            if self._changed and self._is_changed_since(entry[1], entry[2]):
                return None
            self._hits += 1
            try:
                self._entries.move_to_end(key)
            except KeyError:
                # A signal's handler has saved meanwhile.
                return None
            return entry[0]

    def mark(self) -> Mark:
        """Return the present moment, to be taken before a query."""
        # Without the lock: of a change in between only the newer half may be missed,
        # and then it is no moment that has been.
        return self._epoch, self._forgets

    def keep(self, key: Hashable, run_ids: tuple[str, ...], value: Any, mark: Mark) -> Any:
        """Keep *value*, which depends on *run_ids*, unless a change came after *mark*.

        A key that is a run's id depends on that run without its being named: what is
        read most often needs no entry of its own in the list of who depends on whom.

        Returns:
            The object to hand out: the same one that is held already, or *value*.
        """
        with self._lock:
            self._misses += 1
            held = self._entries.get(key)
            if held is not None and self._same(held[0], value):
                value = held[0]
            if self._is_changing or mark != (self._epoch, self._forgets):
                return value
            self._is_changing = True
            try:
                # Of the mark's moment: a handler that comes in here may begin another.
                self._entries[key] = (value, mark, run_ids)
                self._entries.move_to_end(key)
                if len(self._entries) > self._limit:
                    self._evict()
            except BaseException:
                self._begin_anew()
                raise
            finally:
                self._is_changing = False
            return value

    def forget(self, run_ids: Iterable[str]) -> None:
        """Forget all that depends on *run_ids*: an own transaction changed them."""
        with self._lock:
            self._forgets += 1
            if self._is_changing:
                self._epoch += 1
                return
            self._is_changing = True
            try:
                for run_id in run_ids:
                    self._entries.pop(run_id, None)
                    self._changed[run_id] = self._forgets
                if len(self._changed) > self._limit:
                    self._drop_comparisons()
            except BaseException:
                self._begin_anew()
                raise
            finally:
                self._is_changing = False

    def suspect_all(self) -> None:
        """Answer nothing from memory that isn't read again: somebody else committed."""
        with self._lock:
            self._epoch += 1

    def counts(self) -> CacheInfo:
        """Return hits, misses, size and limit."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._entries), self._limit)

    def reset_after_fork(self) -> None:
        """Start anew in a child: the lock may have been held, and nothing is known."""
        self.__init__(self._limit, self._same)  # type: ignore[misc]

    def _is_changed_since(self, mark: Mark, run_ids: Iterable[str]) -> bool:
        return any(self._changed.get(run_id, 0) > mark[1] for run_id in run_ids)

    def _drop_comparisons(self) -> None:
        """Hold nothing that depends on more than its key, so that all changes can be forgotten."""
        for key in [key for key, entry in self._entries.items() if entry[2]]:
            del self._entries[key]
        self._changed.clear()

    def _begin_anew(self) -> None:
        """Hold nothing: an interrupt left a change half done."""
        # Not another one: `holds` is this one's.
        self._entries.clear()

    def _evict(self) -> None:
        self._entries.popitem(last=False)
        self._evictions += 1
        if self._evictions % (10 * self._limit) == 0 and self._hits < self._misses:
            logger.warning(
                "the cache of %d answers thrashes: %d hits, %d misses, %d evicted",
                self._limit,
                self._hits,
                self._misses,
                self._evictions,
            )
