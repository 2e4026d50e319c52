"""A mapping that can't be changed, for values that leave the store."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TypeVar

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)


class FrozenMapping(Mapping[K, V_co]):
    """A dict that can only be read; unlike `MappingProxyType` it pickles, copies and hashes."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V_co]) -> None:
        self._items = dict(items)

    @classmethod
    def of_own(cls, items: dict[K, V_co]) -> FrozenMapping[K, V_co]:
        """Return one of *items* itself, which nobody else may have: two thirds of the time."""
        mapping = object.__new__(cls)
        mapping._items = items
        return mapping

    def __getitem__(self, key: K) -> V_co:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    # The dict's own views: those of Mapping call __getitem__ for each key.
    def keys(self) -> KeysView[K]:
        """Return the keys, as a dict does."""
        return self._items.keys()

    def values(self) -> ValuesView[V_co]:
        """Return the values, as a dict does."""
        return self._items.values()

    def items(self) -> ItemsView[K, V_co]:
        """Return the (key, value) pairs, as a dict does."""
        return self._items.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrozenMapping):
            return self._items == other._items
        return self._items == other if isinstance(other, Mapping) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[type[FrozenMapping[K, V_co]], tuple[dict[K, V_co]]]:
        return type(self), (dict(self._items),)
