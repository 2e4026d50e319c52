"""Change a JSON document into another one: random bytes are JSON once in a thousand."""

from __future__ import annotations

import json
import random
from typing import Any

__all__ = ["changed_document"]

Place = tuple[Any, Any]
"""(dict or list, key or index in it)"""

_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, {}, [], {"a": {}}),
    *("", "a", "run", "a\u0308", "\0", "\ud800", "x" * 256, "=a"),
    *(0, 1, -1, 2**63 - 1, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, 5e-324),
    *(float("nan"), float("inf"), -5e-324),
    *("9999-12-31T23:59:59.999999-14:00", "0001-01-01", "2025-W01-1", "2025-06-01T02:30:00Z"),
)


def changed_document(content: bytes, most_bytes: int, seed: int) -> bytes | None:
    """Return *content* with one to three places changed; None if it is no JSON to change."""
    chance = random.Random(seed)
    try:
        root = [json.loads(content)]
        for _ in range(chance.randint(1, 3)):
            _change_one(root, chance)
        changed = json.dumps(root[0] if root else None, ensure_ascii=chance.random() < 0.5)
    except (ValueError, RecursionError):
        return None
    encoded = changed.encode(errors="surrogatepass")
    return encoded if len(encoded) <= most_bytes else None


def _change_one(root: list[Any], chance: random.Random) -> None:
    places = list(_places(root))
    if not places:
        return
    inside, key = chance.choice(places)
    match chance.randrange(4):
        case 0:
            inside[key] = chance.choice(_ODD_VALUES)
        case 1:
            other, other_key = chance.choice(places)
            # Through text: a copy of its own, or a tree could come to hold itself.
            inside[key] = json.loads(json.dumps(other[other_key]))
        case 2 if isinstance(inside, dict):
            inside[str(chance.choice(_ODD_VALUES))[:300]] = inside.pop(key)
        case _ if inside is not root:
            del inside[key]


def _places(node: Any) -> list[Place]:
    """Return every place below *node*."""
    if isinstance(node, dict):
        here: list[Place] = [(node, key) for key in node]
    elif isinstance(node, list):
        here = [(node, index) for index in range(len(node))]
    else:
        return []
    return here + [place for inside, key in here for place in _places(inside[key])]
