"""What was read stays one object for as long as nobody has changed it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from operator import eq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astraguard_store.reports import CacheInfo

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

    Args:
        limit: Most values that are held.
        same: Tells whether two values of one key are the same.
    """

    def __init__(self, limit: int = 1024, same: Callable[[Any, Any], bool] = eq) -> None:
        self._limit = limit
        self._same = same
        self._lock = threading.RLock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        # {run: own commit that changed it last}, of as many runs as values are held at most. A
        # list of who depends on whom would cost each comparison two sets: 1.6 µs of some 60.
        self._changed: dict[str, int] = {}
        self._epoch = 0
        self._forgets = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0

    def __contains__(self, key: Hashable) -> bool:
        """Return whether there is a value for *key*, be it true or not any more."""
        return key in self._entries

    def get(self, key: Hashable) -> Any | None:
        """Return the value of *key* if it is known to be true, else None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry[1][0] != self._epoch:
                return None
            if self._changed and self._is_changed_since(entry[1], entry[2]):
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def mark(self) -> Mark:
        """Return the present moment, to be taken before a query."""
        # Without the lock: of a change in between only the newer half may be missed,
        # and then it is no moment that has been.
        return self._epoch, self._forgets

    def keep(self, key: Hashable, run_ids: tuple[str, ...], value: Any, mark: Mark) -> Any:
        """Keep *value*, which depends on *run_ids*, unless a change came after *mark*.

        A key that is a run's id depends on that run without its being named.

        Returns:
            The object to hand out: the same one that is held already, or *value*.
        """
        with self._lock:
            self._misses += 1
            held = self._entries.get(key)
            if held is not None and self._same(held[0], value):
                value = held[0]
            if mark == (self._epoch, self._forgets):
                self._entries[key] = (value, mark, run_ids)
                self._entries.move_to_end(key)
                while len(self._entries) > self._limit:
                    self._evict()
            return value

    def forget(self, run_ids: Iterable[str]) -> None:
        """Forget all that depends on *run_ids*: an own transaction changed them."""
        with self._lock:
            self._forgets += 1
            try:
                for run_id in run_ids:
                    self._entries.pop(run_id, None)
                    self._changed[run_id] = self._forgets
                if len(self._changed) > self._limit:
                    self._drop_comparisons()
            except BaseException:
                # A second Ctrl-C doesn't wait for the write to end.
                self._epoch += 1
                raise

    def suspect_all(self) -> None:
        """Answer nothing from memory that isn't read again: somebody else committed."""
        with self._lock:
            self._epoch += 1

    def counts(self) -> CacheInfo:
        """Return hits, misses, size and limit."""
        from astraguard_store.reports import CacheInfo

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
