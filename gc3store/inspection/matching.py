"""Which keys of one dictionary are those of another, of any type, in bounded time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from gc3store.inspection.shape import shape_of
from gc3store.inspection.text import text
from gc3store.inspection.values import Inert, Name, Pairs, Reference, class_of, parts

__all__ = ["EXTRA", "MISSING", "Keys", "equal", "kind_of"]

MISSING: Final = object()  #: there is no such key on the right, or nothing in its place
EXTRA: Final = object()  #: there is no such key on the left


def kind_of(value: Any) -> str:
    """Return what kind of value it is to compare; empty if there is nothing in it."""
    return shape_of(value).kind


def equal(a: Any, b: Any) -> bool:
    """Whether two values without content to walk through are equal."""
    if isinstance(a, (Name, Reference)) or isinstance(b, (Name, Reference)):
        return type(a) is type(b) and bool(a == b)
    try:
        # NaN is where NaN was; all else is itself.
        return bool(a == b) or (type(a) is type(b) and bool(a != a) and bool(b != b))
    except Exception:  # noqa: BLE001 - numbers may refuse to be compared
        return type(a) is type(b) and text(a) == text(b)


class Keys:
    """What is known of the keys of two values, each worked out once.

    Parameters
    ----------
    equal_ : callable
        Tells whether two values without content are equal.
    """

    def __init__(self, equal_: Callable[[Any, Any], bool]) -> None:
        self._equal = equal_
        self._buckets: dict[int, str] = {}
        self._verdicts: dict[tuple[int, int], bool] = {}

    def matched(
        self, left: Iterable[tuple[Any, Any]], right: Iterable[tuple[Any, Any]]
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Yield each key of `left` with its values in both, then what is only in `right`."""
        simple: dict[Any, Any] = {}
        others: dict[str, list[tuple[Any, Any]]] = {}
        again: dict[Any, deque[Any]] = {}  # the same key once more, as no dictionary has it
        for key, value in right:
            if _simple(key):
                if key in simple:
                    again.setdefault(key, deque()).append(value)
                else:
                    simple[key] = value
            else:
                others.setdefault(self.bucket(key), []).append((key, value))
        for key, value in left:
            if _simple(key):
                found = simple.pop(key, MISSING)
                yield key, value, again[key].popleft() if found is MISSING and again.get(key) else found
                continue
            bucket = others.get(self.bucket(key), [])
            for i, (other, found) in enumerate(bucket[:100]):
                if self.same(key, other):
                    del bucket[i]
                    yield key, value, found
                    break
            else:
                if bucket and kind_of(key) == kind_of(bucket[0][0]) != "":
                    # Keys that no dictionary could have: compared in order, like values.
                    other, found = bucket.pop(0)
                    yield key, (key, value), (other, found)
                else:
                    yield key, value, MISSING
        left_over = [(key, value) for key, values in again.items() for value in values]
        unmatched = (pair for bucket in others.values() for pair in bucket)
        for key, value in [*simple.items(), *left_over, *unmatched]:
            yield key, value, EXTRA

    def bucket(self, key: Any, depth: int = 0) -> str:
        """Return a string that is the same for equal keys, and seldom otherwise."""
        if isinstance(key, tuple):
            if depth > 2:
                return f"{len(key)}"
            name = self._buckets.get(id(key))
            if name is None or depth:
                name = f"({','.join(self.bucket(c, depth + 1) for c in key[:16])})"
                if not depth:
                    self._buckets[id(key)] = name
            return name
        if isinstance(key, int):
            return f"{key.bit_length()} {hex(key & (1 << 64) - 1)}"
        if isinstance(key, (frozenset, Pairs)):
            return f"set of {len(key)}"  # its elements have no order
        shown, unordered, _ = text(key, limit=60).partition("{")  # from there on in any order
        return shown + unordered

    def same(self, a: Any, b: Any, depth: int = 0) -> bool:
        """Whether two keys are equal: a few levels deep, then by kind."""
        if not kind_of(a) and not kind_of(b):
            return self._equal(a, b)
        verdict = self._verdicts.get((id(a), id(b)))
        if verdict is None:
            verdict = self._verdicts[id(a), id(b)] = self._compare(a, b, depth)
        return verdict

    def _compare(self, a: Any, b: Any, depth: int) -> bool:
        if isinstance(a, Inert) and isinstance(b, Inert):
            p, q = parts(a), parts(b)
            return (
                class_of(a) == class_of(b)
                and len(p.args) == len(q.args)
                and all(
                    self._equal(x, y) if not kind_of(x) and not kind_of(y) else type(x) is type(y)
                    for x, y in zip(p.args, q.args, strict=True)
                )
            )
        if isinstance(a, tuple) and isinstance(b, tuple):
            if depth > 2 or len(a) != len(b) or len(a) > 64:
                return False
            return all(x is y or self.same(x, y, depth + 1) for x, y in zip(a, b, strict=True))
        if isinstance(a, frozenset) and isinstance(b, frozenset):
            return len(a) == len(b) <= 64 and self._same_elements(a, b, depth)
        return False

    def _same_elements(self, a: frozenset[Any], b: frozenset[Any], depth: int) -> bool:
        # Only small sets of constants and single objects are shown as sets: see tree.Reader.keys.
        pairs = self.matched(((element, None) for element in a), ((element, None) for element in b))
        return depth <= 2 and all(found is None for _, _, found in pairs)


def _simple(key: Any) -> bool:
    # Numbers may be chosen to collide, and are looked up by how they are written instead.
    return type(key) in (str, bytes, type(None))
